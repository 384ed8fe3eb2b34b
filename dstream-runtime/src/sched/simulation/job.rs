//! The properties of a simulated job.

use super::Seed;
use super::cluster::LEASE_MS;
use super::reference::hash;
use crate::id::*;
use crate::plan::Plan;
use crate::sched::*;
use crate::time::Timetable;

/// The same for all masters of a job.
#[derive(Clone)]
pub(super) struct Job {
    pub(super) plan: &'static Plan,
    pub(super) number: u64,
    pub(super) config: MasterConfig,
    /// Input of each source.
    pub(super) totals: Vec<u64>,
    pub(super) failing: u64,
    pub(super) churn: u64,
    pub(super) bad_storage: u64,
    /// Whether time, hosts and links are simulated.
    pub(super) in_time: bool,
    /// Whether clients push the first source.
    pub(super) pushed: bool,
    /// All holders of pushed records may be lost at once; the job must report it then.
    pub(super) reckless: bool,
    /// Then it is started again, and told to go on without.
    pub(super) accepts: bool,
    /// All hosts are one as far as ports go: one process alone can listen at the source's address.
    pub(super) one_port: bool,
}

impl Job {
    pub(super) fn new(plan: &'static Plan, number: u64, seed: &mut Seed, live: bool) -> Self {
        let sources = plan.sources.len();
        let mut config = MasterConfig {
            partitions: 1 + seed.below(5) as u32,
            in_flight: 1 + seed.below(4) as u32,
            attempts: 100,
            workers: 1 + seed.below(4) as u32,
            lease_ms: None,
            checkpoint_ms: Some(100 * (1 + seed.below(6))),
            speculate: true,
            timetable: Timetable::new(0, 100),
            batch_bytes: u64::MAX,
            publishes_empty: false,
            seen: vec![true; 9],
            live: (0..sources).map(|_| live && seed.one_in(2)).collect(),
            drains: Vec::new(),
            first: BatchSeq(1 + seed.below(2) * seed.below(20)),
            term: 0,
            completes_stop: false,
        };
        config.drains.clone_from(&config.live);
        Self {
            plan,
            number,
            totals: (0..sources).map(|_| seed.below(40)).collect(),
            config,
            failing: [0, 30][seed.below(2) as usize],
            churn: [20, 60, 150][seed.below(3) as usize],
            bad_storage: [0, 4][seed.below(2) as usize],
            in_time: false,
            pushed: false,
            reckless: false,
            accepts: false,
            one_port: false,
        }
    }

    /// A job in simulated time, on `hosts` hosts.
    pub(super) fn in_time(plan: &'static Plan, number: u64, seed: &mut Seed, hosts: u32) -> Self {
        let mut job = Self::new(plan, number, seed, true);
        job.config.live.fill(true);
        job.config.drains.fill(true);
        job.config.lease_ms = Some(LEASE_MS);
        job.config.workers = job.config.workers.min(hosts);
        job.config.partitions = job.config.partitions.min(4);
        (job.failing, job.in_time) = (0, true);
        job.pushed = seed.one_in(2);
        if job.pushed {
            job.totals[0] = 0;
            job.reckless = seed.one_in(4);
            // Of numbers of their own, so that they change no other one.
            job.accepts = job.reckless && hash(&[number, 7]).is_multiple_of(2);
            job.one_port = hash(&[number, 8]).is_multiple_of(2);
        }
        job
    }
}
