//! A master that is away for many intervals, so that batches are missed and time is stepped over. Other faults last
//! too short for that, so some worlds have this beside all else.

use super::faults::{Fault, Kind, LAST_MS};
use crate::sched::simulation::Seed;

/// One world of this many.
const WORLDS: u64 = 6;

/// What goes wrong in a world beside all else.
pub(super) fn absence(seed: &mut Seed) -> Vec<Fault> {
    if !seed.one_in(WORLDS) {
        return Vec::new();
    }
    let at = 50 + seed.below(LAST_MS - 50);
    let next = [1500, 4000, 12_000][seed.below(3) as usize] + seed.below(300);
    vec![Fault { at, kind: Kind::CrashMaster { next } }]
}
