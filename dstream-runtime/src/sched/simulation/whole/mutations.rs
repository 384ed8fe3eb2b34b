//! Without any one of the checks that keep things from being lost or counted twice, something goes wrong in
//! some world, and is noticed: the checks are needed, and the worlds would find such mistakes.

use super::World;
use super::runs::{announce, fails};
use crate::guards::{Guard, MISSED, without};
use crate::sched::simulation::seeds;

/// In one of so many worlds at the latest.
const WORLDS: u64 = 4000;

/// A world in which it is noticed that a check is missing; `first` is looked at before all others.
fn noticed(guard: Guard, first: u64) -> Option<u64> {
    let mut worlds = std::iter::once(first).chain(0..seeds(WORLDS));
    worlds.find(|number| without(guard, || fails(*number, &World::faults(*number))))
}

#[test]
fn every_check_that_is_left_out_is_missed() {
    announce();
    let mut unnoticed = Vec::new();
    for (guard, first) in MISSED {
        match noticed(guard, first) {
            Some(number) => eprintln!("{guard:?}: world {number}"),
            None => unnoticed.push(guard),
        }
    }
    assert!(unnoticed.is_empty(), "nothing goes wrong without {unnoticed:?}");
}
