//! Without any one of the checks that keep things from being lost or counted twice, something goes wrong in
//! some world, and is noticed: the checks are needed, and the worlds would find such mistakes.

use super::World;
use super::runs::{announce, fails};
use crate::guards::{ALL, Guard, without};

/// In one of so many worlds at the latest.
const WORLDS: u64 = 6000;

/// The first world in which it is noticed that a check is missing.
fn noticed(guard: Guard) -> Option<u64> {
    (0..super::super::seeds(WORLDS))
        .find(|number| without(guard, || fails(*number, &World::faults(*number))))
}

#[test]
fn every_check_that_is_left_out_is_missed() {
    announce();
    let mut missed = Vec::new();
    let only = std::env::var("DSTREAM_GUARD").ok();
    for guard in ALL.into_iter().filter(|g| only.as_ref().is_none_or(|o| format!("{g:?}") == *o)) {
        match noticed(guard) {
            Some(number) => eprintln!("{guard:?}: world {number}"),
            None => missed.push(guard),
        }
    }
    assert!(missed.is_empty(), "nothing goes wrong without {missed:?}");
}
