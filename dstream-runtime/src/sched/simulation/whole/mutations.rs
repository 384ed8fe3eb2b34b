//! Without any one of the checks that keep things from being lost or counted twice, something goes wrong in
//! some world, and is noticed: the checks are needed, and the worlds would find such mistakes.

use super::World;
use super::runs::{announce, fails, holds};
use crate::guards::{Guard, MISSED, Ring, without};
use crate::sched::simulation::overload::overload;
use crate::sched::simulation::stragglers::bounded;
use crate::sched::simulation::{churn, plans, seeds};

/// In one of so many worlds at the latest.
const WORLDS: u64 = 4000;

/// Whether a world does not hold.
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

/// A world in which it is noticed that a check is missing; `first` is looked at before all others.
fn noticed(guard: Guard, ring: Ring, first: u64) -> Option<u64> {
    let mut worlds = std::iter::once(first).chain(0..seeds(WORLDS));
    worlds.find(|number| without(guard, || goes_wrong(ring, *number)))
}

#[test]
fn every_check_that_is_left_out_is_missed() {
    announce();
    let mut unnoticed = Vec::new();
    // One of them, to look for the world of a new one.
    let only = std::env::var("DSTREAM_GUARD").ok();
    let is_asked = |guard: &Guard| only.as_ref().is_none_or(|name| *name == format!("{guard:?}"));
    for (guard, ring, first) in MISSED.into_iter().filter(|(guard, ..)| is_asked(guard)) {
        match noticed(guard, ring, first) {
            Some(number) => eprintln!("{guard:?}: world {number}"),
            None => unnoticed.push(guard),
        }
    }
    assert!(unnoticed.is_empty(), "nothing goes wrong without {unnoticed:?}");
}
