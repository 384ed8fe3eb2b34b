//! Masters end at any time, losing what is not durable, and others take over; some replaced ones go on for a
//! while with their workers. Saved states are damaged.
//!
//! Throughout, the invariants of [`outside`](super::outside) hold, and every job ends with all input of its
//! sources, as if there had been one master.

use super::Seed;
use super::cluster::Cluster;
use super::job::Job;
use super::losses::{plans, told};
use super::outside::Outside;
use crate::plan::Plan;
use crate::sched::Past;

/// Masters of a world, at most.
const MASTERS: u32 = 12;

/// Sites reached.
#[derive(Debug, Default)]
struct Seen {
    restarts: u32,
    old_masters: u32,
    refused: u32,
    shown_again: u32,
    damaged: u32,
    stops: u32,
    loads: u32,
    losses: u32,
    after_the_end: u32,
}

struct World {
    seed: Seed,
    job: Job,
    outside: Outside,
    current: Cluster,
    /// A cluster whose master is replaced and does not know.
    old: Option<Cluster>,
    /// Chance that a master ends, per step.
    ends: u64,
    seen: Seen,
}

impl World {
    fn new(plan: &'static Plan, number: u64) -> Self {
        let mut seed = Seed(number.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let live = seed.one_in(3);
        let job = Job::new(plan, number, &mut seed, live);
        let outside = Outside::new(job.config.first, plan.sources.len());
        let current = Cluster::new(&job, &outside, &Past::default(), 0, seed.0);
        seed.below(2);
        let ends = [40, 200, 800][seed.below(3) as usize];
        Self { seed, job, outside, current, old: None, ends, seen: Seen::default() }
    }

    fn run(&mut self) {
        let calm = 300 + self.seed.below(4000);
        for step in 0..600_000u64 {
            let quiet = step >= calm;
            if !quiet && self.seed.one_in(self.ends) && self.outside.term < MASTERS {
                self.restart();
            }
            if !quiet && self.seed.one_in(1500) {
                self.seen.stops += 1;
                self.current.stop();
            }
            self.step_old();
            if self.current.step(&mut self.outside, quiet) {
                continue;
            }
            if self.is_over() {
                return;
            }
            self.seen.after_the_end += 1;
            self.restart();
        }
        panic!("the job has not ended: {:#?}", self.current.master.status(self.current.now));
    }

    fn step_old(&mut self) {
        let Some(old) = &mut self.old else { return };
        if self.seed.one_in(2) {
            return;
        }
        if !old.step(&mut self.outside, false) || self.seed.one_in(2000) {
            self.old = None;
        }
    }

    /// Whether the job is over. A stopped job may be started again.
    fn is_over(&mut self) -> bool {
        assert_eq!(self.outside.published.len(), self.outside.cuts.len(), "all is published");
        if self.outside.term < MASTERS && self.seed.one_in(3) {
            return false;
        }
        if !self.current.stopped {
            assert_eq!(self.outside.reached, self.job.totals, "all is read");
        }
        true
    }

    /// Replaces the master, which has ended or does not know yet.
    fn restart(&mut self) {
        self.seen.restarts += 1;
        let lives = self.current.outcome.is_none() && self.seed.one_in(3);
        if !lives {
            self.current.crash(&mut self.outside);
        }
        self.outside.next_term();
        let past = self.past();
        let now = self.current.now + self.seed.below(2) * self.seed.below(3000);
        let next = Cluster::new(&self.job, &self.outside, &past, now, self.seed.0);
        self.seed.below(2);
        let before = std::mem::replace(&mut self.current, next);
        self.count(&before);
        if lives {
            self.seen.old_masters += 1;
            self.old = Some(before);
        }
    }

    /// What the new master resumes from; damaged states fall back to their predecessors.
    fn past(&mut self) -> Past {
        let mut past = self.outside.past();
        let bytes = postcard::to_allocvec(&past).expect("it can be written");
        assert_eq!(postcard::from_bytes(&bytes), Ok(past.clone()));
        let mut counting: Vec<_> = past.saved_states().cloned().collect();
        let mut fell_back = false;
        while !counting.is_empty() && self.seed.one_in(4) {
            let at = self.seed.below(counting.len() as u64) as usize;
            let damaged = counting.swap_remove(at);
            let (stage, partition) = (damaged.stage, damaged.partition);
            // A group falls back once: two bases are kept, unless that has just happened.
            if past.fall_back(stage, partition).is_ok() {
                self.outside.storage.remove(damaged.objects.last().expect("it has one"));
                let group: Vec<_> = past.saved_states().cloned().collect();
                counting.retain(|saved| group.contains(saved));
                (self.seen.damaged, fell_back) = (self.seen.damaged + 1, true);
            }
        }
        for object in past.objects() {
            assert!(self.outside.storage.contains_key(object), "{object} is needed and gone");
        }
        let objects: Vec<_> = past.objects().map(str::to_owned).collect();
        self.outside.storage.retain(|name, _| objects.contains(name));
        if fell_back || self.seed.one_in(3) {
            self.outside.write_snapshot(&past);
        }
        past
    }

    fn count(&mut self, cluster: &Cluster) {
        self.seen.loads += cluster.loads;
        self.seen.losses += cluster.losses;
    }
}

#[test]
fn restarts_do_not_change_the_output() {
    let mut all = Seen::default();
    for (name, plan) in plans() {
        for seed in 1..=super::seeds(300) {
            let seen = told(name, seed, || {
                let mut world = World::new(plan, seed);
                world.run();
                world.seen.refused = world.outside.refused;
                world.seen.shown_again = world.outside.shown_again;
                world.seen
            });
            all.restarts += seen.restarts;
            all.old_masters += seen.old_masters;
            all.refused += seen.refused;
            all.shown_again += seen.shown_again;
            all.damaged += seen.damaged;
            all.stops += seen.stops;
            all.loads += seen.loads;
            all.losses += seen.losses;
            all.after_the_end += seen.after_the_end;
        }
    }
    eprintln!("{all:?}");
    // Otherwise these cases were not tested.
    let Seen { restarts, old_masters, refused, shown_again, damaged, stops, .. } = all;
    let rare = [restarts, old_masters, refused, shown_again, damaged, stops];
    assert!(rare.iter().all(|count| *count > 50), "{all:?}");
    assert!(all.loads.min(all.losses).min(all.after_the_end) > 50, "{all:?}");
}
