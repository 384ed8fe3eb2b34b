//! Without any one guard, some world fails: every guard is needed, and the worlds detect its absence.

use super::World;
use super::runs::{announce, fails, holds};
use crate::guards::{Guard, MISSED, Ring, without};
use crate::sched::simulation::overload::overload;
use crate::sched::simulation::stragglers::bounded;
use crate::sched::simulation::{churn, plans, seeds};

/// Worlds tried for each guard.
const WORLDS: u64 = 4000;

/// Whether a world fails.
fn goes_wrong(ring: Ring, number: u64) -> bool {
    match ring {
        Ring::Whole => fails(number, &World::faults(number)),
        Ring::Starved => !holds(|| bounded(number)),
        Ring::Churn => {
            let (name, plan) = plans()[(number % 2) as usize];
            !holds(|| drop(churn(name, plan, number)))
        }
        Ring::Overload => !holds(|| overload(number)),
    }
}

/// Returns a world that misses the guard, trying `first` first.
fn noticed(guard: Guard, ring: Ring, first: u64) -> Option<u64> {
    let mut worlds = std::iter::once(first).chain(0..seeds(WORLDS));
    worlds.find(|number| without(guard, || goes_wrong(ring, *number)))
}

#[test]
fn every_guard_that_is_left_out_is_missed() {
    announce();
    let mut unnoticed = Vec::new();
    // One guard only, to find a world for a new one.
    let only = std::env::var("DSTREAM_GUARD").ok();
    let is_asked = |guard: &Guard| only.as_ref().is_none_or(|name| *name == format!("{guard:?}"));
    for (guard, ring, first) in MISSED.into_iter().filter(|(guard, ..)| is_asked(guard)) {
        match noticed(guard, ring, first) {
            Some(number) => eprintln!("{guard:?}: world {number}"),
            None => unnoticed.push(guard),
        }
    }
    assert!(unnoticed.is_empty(), "nothing fails without {unnoticed:?}");
}
