//! Workers are lost at any time under one master: outputs are published whole, once and in order; only lost
//! tasks run again; and every job ends once losses end.

use std::sync::OnceLock;

use super::cluster::Cluster;
use super::job::Job;
use super::outside::Outside;
use super::{Seed, rich, seeds};
use crate::id::*;
use crate::plan::{Plan, TailRow};
use crate::sched::Past;
use crate::sched::testplan::{plan, reading, shuffled, word_count};

/// All plans.
pub(super) fn plans() -> [(&'static str, &'static Plan); 4] {
    static PLANS: OnceLock<[(&'static str, &'static Plan); 4]> = OnceLock::new();
    *PLANS.get_or_init(|| {
        [("word count", word_count()), ("rich", rich()), ("chain", chain()), ("plain", plain())]
    })
}

/// Adds the world to a panic.
pub(super) fn told<T>(name: &str, seed: u64, run: impl FnOnce() -> T) -> T {
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)) {
        Ok(result) => result,
        Err(panic) => {
            eprintln!("{name}, seed {seed}");
            std::panic::resume_unwind(panic)
        }
    }
}

fn run(plan: &'static Plan, number: u64) -> Cluster {
    let mut seed = Seed(number.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let job = Job::new(plan, number, &mut seed, false);
    let mut outside = Outside::new(job.config.first, plan.sources.len());
    let quiet = 200 + seed.below(2500);
    let mut cluster = Cluster::new(&job, &outside, &Past::default(), 0, seed.0);
    for step in 0..400_000u64 {
        if !cluster.step(&mut outside, step >= quiet) {
            assert_eq!(outside.reached, job.totals, "everything is read");
            assert_eq!(outside.published.len(), outside.cuts.len(), "everything is published");
            return cluster;
        }
    }
    panic!("the job has not ended: {:#?}", cluster.master.status(cluster.now));
}

/// States that depend on states of all partitions.
fn chain() -> &'static Plan {
    plan(
        1,
        vec![
            reading(),
            shuffled(0).state().tail(TailRow::Partition),
            shuffled(1).tail(TailRow::Combine),
            shuffled(2).state().tail(TailRow::Output(OutputId(0))),
        ],
    )
}

/// A plan without state.
fn plain() -> &'static Plan {
    plan(1, vec![reading(), shuffled(0).tail(TailRow::Output(OutputId(0)))])
}

#[test]
fn losses_do_not_change_the_output() {
    let (mut losses, mut zombies, mut again, mut loads) = (0, 0, 0, 0);
    let mut given_up = 0;
    for (name, plan) in plans() {
        for seed in 1..=seeds(400) {
            let cluster = told(name, seed, || run(plan, seed));
            losses += cluster.losses;
            zombies += cluster.zombies;
            again += cluster.again;
            loads += cluster.loads;
            given_up += cluster.given_up;
        }
    }
    // Otherwise cancellation was not tested.
    assert!(given_up > 0);
    for (what, count) in
        [("losses", losses), ("zombies", zombies), ("run again", again), ("loaded", loads)]
    {
        assert!(count > 100, "{what}: {count}");
    }
    eprintln!(
        "losses {losses}, zombies {zombies}, run again {again}, loaded {loads}, given up {given_up}"
    );
}
