//! A master that is absent for many intervals, so that batches are missed and time is skipped. Other faults
//! are too short for that, so some worlds have this one in addition.

use super::faults::{Fault, Kind, LAST_MS};
use crate::sched::simulation::Seed;

/// One world in this many.
const WORLDS: u64 = 6;

/// The additional faults of a world.
pub(super) fn absence(seed: &mut Seed) -> Vec<Fault> {
    if !seed.one_in(WORLDS) {
        return Vec::new();
    }
    let at = 50 + seed.below(LAST_MS - 50);
    let next = [1500, 4000, 12_000][seed.below(3) as usize] + seed.below(300);
    vec![Fault { at, kind: Kind::CrashMaster { next } }]
}
