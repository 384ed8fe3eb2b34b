//! Master and workers in one thread, from a seed: messages are delayed, reordered and doubled, tasks take
//! any time and fail, journal and outputs answer late, workers join, are drained, fall silent and are lost.
//! What must hold is checked from outside, against the plan alone:
//!
//! * a task starts on the one worker that owns its partition in its batch, once at a time, with exactly the
//!   blocks that its lineage row names, its ranges, and exactly the state that the task before it left;
//! * a batch is published once, in order, when all its tasks have run and its cut and commit are durable;
//! * a worker that may go holds nothing; only a silent one is evicted; every job ends.

mod checks;
mod cluster;
mod held;
mod job;
mod losses;
mod message;
mod network;
mod outside;
mod overload;
mod process;
mod pushed;
mod reference;
mod restarts;
mod stragglers;
mod timed;
mod whole;
mod world;

use std::ops::Range;

pub(crate) use self::reference::hash;
use self::world::World;
use super::testplan::{plan, stage, word_count};
use crate::id::*;
use crate::plan::{Dependency, Plan, TailRow, Tasks};
use crate::sched::master::{Cause, Outcome};

/// xorshift64*: enough for a test, and the same everywhere.
pub(crate) struct Seed(pub(crate) u64);

impl Seed {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % bound
    }

    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        n > 0 && self.below(n) == 0
    }
}

/// Everything that a plan can have: two sources, unions, slides, chained states, gathers.
fn rich() -> &'static Plan {
    plan(
        2,
        vec![
            stage(Tasks::PerRange(SourceId(0))).tail(TailRow::Rows).tail(TailRow::Combine),
            stage(Tasks::PerRange(SourceId(1))).tail(TailRow::Rows).tail(TailRow::Combine),
            stage(Tasks::PerPartition)
                .reads(Dependency::Narrow, &[(0, 0), (1, 0)])
                .tail(TailRow::Partition),
            stage(Tasks::PerPartition)
                .reads(Dependency::Shuffle, &[(1, 1), (0, 1)])
                .state()
                .tail(TailRow::Keep),
            stage(Tasks::PerPartition)
                .reads(Dependency::Narrow, &[(3, 0)])
                .state()
                .every(1, 3)
                .tail(TailRow::Keep),
            stage(Tasks::PerPartition)
                .reads(Dependency::Narrow, &[(4, 0)])
                .reads(Dependency::Shuffle, &[(2, 0)])
                .every(3, 3)
                .state()
                .tail(TailRow::Partial)
                .tail(TailRow::Output(OutputId(0))),
            stage(Tasks::One)
                .reads(Dependency::Gather, &[(5, 0)])
                .every(3, 3)
                .tail(TailRow::Combine),
            stage(Tasks::PerPartition)
                .reads(Dependency::Shuffle, &[(6, 0)])
                .every(3, 3)
                .tail(TailRow::Output(OutputId(1))),
        ],
    )
}

fn plans() -> [(&'static str, &'static Plan); 2] {
    [("word count", word_count()), ("rich", rich())]
}

/// How many seeds each test takes: enough to find what it is for, and more when asked.
pub(crate) fn seeds(usual: u64) -> u64 {
    std::env::var("DSTREAM_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(usual)
}

/// The only world to run, from `DSTREAM_SEED`.
pub(crate) fn only() -> Option<u64> {
    std::env::var("DSTREAM_SEED").ok().and_then(|number| number.parse().ok())
}

/// The worlds of a test: as many as usual or as were asked for, or the only one, whatever its number.
pub(crate) fn numbers(usual: u64) -> Range<u64> {
    only().map_or(0..seeds(usual), |number| number..number + 1)
}

/// The worlds to survey, as `DSTREAM_SURVEY=from..to`.
pub(crate) fn surveyed() -> Option<Range<u64>> {
    let wanted = std::env::var("DSTREAM_SURVEY").ok()?;
    let (from, to) = wanted.split_once("..").expect("from..to");
    let number = |number: &str| number.parse::<u64>().expect("a seed");
    Some(number(from)..number(to))
}

/// A world whose workers come and go.
fn churn(name: &str, plan: &'static Plan, seed: u64) -> World {
    let mut world = World::new(plan, seed);
    world.run();
    let (published, batches) = (world.published(), world.batches);
    assert_eq!(world.outcome, Some(Outcome::Done), "{name}, seed {seed}");
    assert!(world.is_quiet(), "{name}, seed {seed}");
    match world.live {
        // After its input has ended, empty batches follow up to the next slide.
        false => {
            let before = world.first() - 1;
            let last = BatchSeq(before + batches);
            let outputs = plan.outputs.iter().map(|row| plan.completes(row.stage, last).0);
            let all = outputs.max().expect("it has outputs") - before;
            assert_eq!(published, all, "{name}, seed {seed}");
        }
        // The last tick is the one at which the job was stopped; what was received by
        // then may make more batches, and so do ticks that were missed.
        true => {
            assert!(published >= batches, "{name}, seed {seed}");
            assert!(world.asked_late() <= 2, "{name}, seed {seed}");
        }
    }
    world
}

#[test]
fn every_batch_is_published_once_in_order_while_workers_come_and_go() {
    let (mut moved, mut dismissed, mut refused) = (0, 0, 0);
    for (name, plan) in plans() {
        for seed in 1..=seeds(250) {
            let world = churn(name, plan, seed);
            (moved, dismissed) = (moved + world.moved, dismissed + world.dismissed);
            refused += world.refused;
        }
    }
    // Otherwise nothing of it was tested.
    for (what, count) in [("moved", moved), ("dismissed", dismissed), ("refused", refused)] {
        assert!(count > 20, "{what}: {count}");
    }
}

#[test]
fn a_task_that_always_fails_ends_the_job_after_the_batches_before() {
    for seed in 1..=seeds(100) {
        let mut world = World::new(rich(), seed);
        let batch = BatchSeq(world.first() + seed % world.batches);
        let doomed = TaskId { batch, stage: StageId(3), partition: Partition(0) };
        world.doomed = Some(doomed);
        world.run();
        let Some(Outcome::Failed(Cause::Task { task, attempts, .. })) = world.outcome else {
            panic!("seed {seed}: {:?}", world.outcome)
        };
        assert_eq!((task, attempts), (doomed, 50), "seed {seed}");
        assert_eq!(world.published(), batch.0 - world.first(), "seed {seed}");
    }
}

#[test]
fn a_lost_owner_ends_the_job_after_the_batches_that_were_complete() {
    let (mut lost, mut evicted) = (0, 0);
    for (name, plan) in plans() {
        for seed in 1..=seeds(100) {
            let mut world = World::new(plan, seed);
            world.loses_owners = true;
            world.run();
            evicted += world.evicted;
            match world.outcome {
                Some(Outcome::Failed(Cause::Worker { worker, .. })) => {
                    lost += 1;
                    assert!(world.lost.contains(&worker), "{name}, seed {seed}: {worker}");
                }
                ref other => assert_eq!(*other, Some(Outcome::Done), "{name}, seed {seed}"),
            }
        }
    }
    assert!(lost > 20 && evicted > 20, "{lost}, {evicted}");
}
