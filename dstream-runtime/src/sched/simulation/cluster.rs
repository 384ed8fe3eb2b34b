//! A master, its workers, and all messages in flight. Workers are lost at any time with everything they
//! hold, and some go on as zombies; a whole cluster may become one when another master has taken over (see
//! [`outside`](super::outside)).
//!
//! No process is asked for what it does not hold; only lost tasks run again; results equal those computed
//! without workers (see [`reference`](super::reference)).

pub(super) mod acts;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::Seed;
use super::job::Job;
use super::message::Message;
use super::network::{Network, Timed};
use super::outside::{Object, Outside};
use super::process::Process;
use super::reference::Reference;
use crate::driver::cluster::node::{Desk, Node, SOURCE};
use crate::id::*;
use crate::sched::master::Outcome;
use crate::sched::membership::Membership;
use crate::sched::message::*;
use crate::sched::*;

const WORKERS: usize = 14;
/// A worker's lease in simulated time.
pub(super) const LEASE_MS: u64 = 400;
/// How long workers of a previous master may take to join.
pub(super) const GRACE_MS: u64 = 3000;
/// No random failures after this, in simulated time.
const LATE_MS: u64 = 6000;

/// A counting source that ends.
#[derive(Clone)]
struct Source {
    position: u64,
    total: u64,
    /// It has reported its end and was not stopped.
    ended: bool,
}

pub(super) struct Cluster {
    pub(super) seed: Seed,
    pub(super) now: u64,
    pub(super) term: u32,
    pub(super) job: Job,
    pub(super) master: MasterCore,
    pub(super) processes: BTreeMap<WorkerId, Process>,
    next: u32,
    pub(super) network: Network,
    /// Entries that are not durable, with the sources that end with them.
    unsynced: VecDeque<(JournalSeq, JournalEntry, Vec<bool>)>,
    durable: JournalSeq,
    sources: Vec<Source>,
    /// Which sources have ended, per batch.
    ended: BTreeMap<BatchSeq, Vec<bool>>,
    pub(super) stopped: bool,
    pub(super) reference: Reference,
    parts: BTreeMap<TaskId, u64>,
    pub(super) outcome: Option<Outcome>,
    pub(super) done: BTreeSet<TaskId>,
    pub(super) lost: BTreeSet<Partition>,
    /// Tasks with a speculative run.
    pub(super) twice: BTreeSet<TaskId>,
    pub(super) cancelled: u32,
    /// Transfers of superseded runs that were cancelled.
    pub(super) given_up: u32,
    pub(super) helpers_lost: u32,
    pub(super) losses: u32,
    pub(super) zombies: u32,
    pub(super) again: u32,
    /// Missed intervals.
    pub(super) missed: u32,
    pub(super) loads: u32,
    /// Saves of changes only.
    pub(super) continued: u32,
    pub(super) saves: u32,
    pub(super) failing: u64,
    /// Workers whose connection to the master is closed.
    pub(super) closed: BTreeSet<WorkerId>,
    /// Pairs of workers with a broken link.
    pub(super) parted: BTreeSet<(WorkerId, WorkerId)>,
    /// Hosts whose worker has left.
    pub(super) departed: Vec<(usize, Option<Node>)>,
    /// The master's record of what clients push.
    pub(super) desk: Option<Desk>,
    /// The workers' share of it.
    pub(super) nodes: BTreeMap<WorkerId, Node>,
    /// Connected workers, as the master sees it.
    pub(super) crew: BTreeSet<WorkerId>,
    /// When the master has heard each worker last.
    pub(super) heard: BTreeMap<WorkerId, u64>,
    /// Who takes in what clients push.
    pub(super) receiving: BTreeSet<WorkerId>,
    /// Draining workers.
    pub(super) leaving: BTreeSet<WorkerId>,
    /// Drained workers that hand over received blocks, and broken links.
    pub(super) membership: Membership,
    /// Acknowledgements for clients.
    pub(super) safe: Vec<(u128, u64)>,
    /// Input of batches before this one is not needed, as all workers were told.
    pub(super) spent: BatchSeq,
    pub(super) is_placed: bool,
    pub(super) graces: u64,
    /// Times at which losses are judged.
    pub(super) judged: BTreeSet<u64>,
    /// Workers whose processes have ended, as the master learns when their connections close.
    pub(super) ended_processes: BTreeSet<WorkerId>,
    /// Whether the job goes on without what was lost before.
    pub(super) accepts_loss: bool,
    /// When workers may have to be told to listen.
    pub(super) opens: BTreeSet<u64>,
    /// How often a worker could not listen.
    pub(super) taken_ports: u32,
    /// The master's process has ended.
    pub(super) is_headless: bool,
    pub(super) refused_saves: u32,
    pub(super) damaged_loads: u32,
}

impl Cluster {
    /// Starts a cluster, or resumes one from `outside`; then its workers join later.
    pub(super) fn new(job: &Job, outside: &Outside, past: &Past, now: u64, seed: u64) -> Self {
        let mut config = job.config.clone();
        config.term = outside.term;
        let master = match past.is_fresh() {
            true => MasterCore::new(job.plan, config),
            false => MasterCore::resume(job.plan, config, past, now).expect("the journal is whole"),
        };
        let first = job.config.first;
        let mut reference = Reference::new(job.plan, job.config.partitions, first, job.number);
        for (batch, inputs) in &outside.cuts {
            for (source, inputs) in (0..).map(SourceId).zip(inputs) {
                reference.cut(*batch, source, inputs.clone());
            }
        }
        let source = |(index, total): (usize, &u64)| {
            let position = past.position(SourceId(index as u16));
            let position = position.filter(|_| index > 0 || !job.pushed);
            let position =
                position.map_or([0; 8], |p| (**p).try_into().expect("it was written so"));
            let position = u64::from_le_bytes(position);
            Source { position, total: *total, ended: outside.ended[index] }
        };
        let next = if past.is_fresh() { first } else { past.next() };
        // The first master starts with batch 1, unless it starts from a savepoint.
        let goes_on = (outside.term > 1 || first > BatchSeq(1)).then_some(next);
        let mut cluster = Self {
            seed: Seed(seed),
            now,
            term: outside.term,
            master,
            processes: BTreeMap::new(),
            next: WorkerId::first_of(outside.term.into()).0,
            network: Network::Any(Vec::new()),
            closed: BTreeSet::new(),
            parted: BTreeSet::new(),
            departed: Vec::new(),
            desk: job.pushed.then(|| {
                let grace = Duration::from_millis(GRACE_MS);
                let mut desk = Desk::new(past.position(SOURCE).map(|p| &**p), goes_on, past, grace);
                desk.remember(past, now);
                desk
            }),
            nodes: BTreeMap::new(),
            crew: BTreeSet::new(),
            heard: BTreeMap::new(),
            safe: Vec::new(),
            receiving: BTreeSet::new(),
            leaving: BTreeSet::new(),
            membership: Membership::new(true, Duration::from_millis(LEASE_MS)),
            spent: BatchSeq(0),
            is_placed: false,
            graces: 0,
            judged: BTreeSet::new(),
            ended_processes: BTreeSet::new(),
            accepts_loss: false,
            opens: BTreeSet::new(),
            taken_ports: 0,
            is_headless: false,
            refused_saves: 0,
            damaged_loads: 0,
            unsynced: VecDeque::new(),
            durable: JournalSeq(0),
            sources: job.totals.iter().enumerate().map(source).collect(),
            ended: BTreeMap::new(),
            stopped: false,
            reference,
            parts: BTreeMap::new(),
            outcome: None,
            done: BTreeSet::new(),
            lost: BTreeSet::new(),
            twice: BTreeSet::new(),
            cancelled: 0,
            given_up: 0,
            helpers_lost: 0,
            losses: 0,
            zombies: 0,
            again: 0,
            missed: 0,
            loads: 0,
            continued: 0,
            saves: 0,
            failing: job.failing,
            job: job.clone(),
        };
        if job.in_time {
            cluster.network = Network::Timed(Box::new(Timed::new(outside.term, now, seed)));
            cluster.network.push(Message::Look);
            return cluster;
        }
        let there = cluster.seed.below(u64::from(job.config.workers) + 1);
        (0..there).for_each(|_| cluster.join());
        cluster
    }

    pub(super) fn next_id(&mut self) -> WorkerId {
        let id = WorkerId(self.next);
        self.next += 1;
        id
    }

    fn join(&mut self) {
        let id = self.next_id();
        let Reference { plan, partitions, .. } = self.reference;
        let core = WorkerCore::new(id, plan, partitions, 1, Retention::Released);
        self.processes.insert(id, Process::new(core));
    }

    /// The next event happens; returns `false` if there is none.
    pub(super) fn step(&mut self, outside: &mut Outside, quiet: bool) -> bool {
        self.act(outside);
        if self.outcome.is_some() {
            return false;
        }
        if !quiet && self.seed.one_in(self.job.churn) {
            self.come_or_go();
            return true;
        }
        let told = self.processes.iter().filter(|(_, p)| !p.told.is_empty());
        let told: Vec<_> = told.map(|(worker, _)| *worker).collect();
        let choices = told.len() + self.network.any().len();
        if choices == 0 {
            let short = self.alive().is_empty() || self.needs_more();
            assert!(short, "nothing happens: {:?}", self.master.status(self.now));
            self.join();
            return true;
        }
        let at = self.seed.below(choices as u64) as usize;
        if let Some(worker) = told.get(at) {
            let (worker, process) = (*worker, self.processes.get_mut(worker).unwrap());
            let message = process.told.pop_front().unwrap();
            self.tell(worker, WorkerEvent::Master(message));
            return true;
        }
        let message = self.network.any().swap_remove(at - told.len());
        let doubles = matches!(message, Message::ToMaster(..) | Message::ToPeer(..));
        if doubles && self.seed.one_in(8) {
            self.network.push(message.clone());
        }
        self.deliver(outside, message);
        true
    }

    fn alive(&self) -> Vec<WorkerId> {
        self.processes.iter().filter(|(_, p)| !p.zombie).map(|(w, _)| *w).collect()
    }

    fn needs_more(&self) -> bool {
        matches!(self.master.status(self.now).cut, status::CutWait::Workers { .. })
    }

    /// Stops the job.
    pub(super) fn stop(&mut self) {
        self.master.handle(self.now, MasterEvent::Stop);
    }

    /// The master crashes; some of its pending writes and publications still take effect.
    pub(super) fn crash(&mut self, outside: &mut Outside) {
        if self.is_busy() {
            while self.master.poll().is_some() {}
        }
        self.act(outside);
        self.is_headless = true;
        let survive = self.seed.below(self.unsynced.len() as u64 + 1) as usize;
        for (_, entry, ended) in self.unsynced.drain(..survive).collect::<Vec<_>>() {
            outside.put(self.term, entry, &ended);
        }
        let mut shows = Vec::new();
        self.network.retain(|message| match message {
            Message::Show(batch, parts) => {
                shows.push((*batch, parts.clone()));
                false
            }
            _ => true,
        });
        for (batch, parts) in shows {
            if self.seed.one_in(2) {
                outside.show(batch, &self.reference.inputs(batch), parts);
            }
        }
    }

    /// A master that ends by itself waits until what it has written is durable.
    pub(super) fn close_journal(&mut self, outside: &mut Outside) {
        for (_, entry, ended) in std::mem::take(&mut self.unsynced) {
            outside.put(self.term, entry, &ended);
        }
    }

    fn come_or_go(&mut self) {
        let alive = self.alive();
        match self.seed.below(6) {
            0 | 1 if self.processes.len() < WORKERS => self.join(),
            2 if !alive.is_empty() => {
                let worker = alive[self.seed.below(alive.len() as u64) as usize];
                self.master.handle(self.now, MasterEvent::Drain(worker));
            }
            3 | 4 if !alive.is_empty() => {
                let worker = alive[self.seed.below(alive.len() as u64) as usize];
                self.losses += 1;
                self.network.push(Message::Left(worker));
                if self.seed.one_in(3) {
                    self.zombies += 1;
                    let process = self.processes.get_mut(&worker).unwrap();
                    process.zombie = true;
                    if self.seed.one_in(2) {
                        process.told.clear();
                        process.deaf = true;
                    }
                } else {
                    self.kill(worker);
                }
            }
            5 => {
                let zombies = self.processes.iter().filter(|(_, p)| p.zombie);
                let zombie = zombies.map(|(worker, _)| *worker).next();
                zombie.into_iter().for_each(|worker| self.kill(worker));
            }
            _ => {}
        }
    }

    /// A process ends; some of what it sent still arrives.
    fn kill(&mut self, worker: WorkerId) {
        self.processes.remove(&worker);
        let kept = self.seed.below(3);
        let seed = &mut self.seed;
        self.network.retain(|message| match message {
            Message::ToPeer(from, ..) | Message::ToMaster(from, ..) if *from == worker => {
                kept == 0 || kept == 1 && seed.one_in(2)
            }
            _ => true,
        });
    }
}
