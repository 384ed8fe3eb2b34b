//! A drained worker, and another that is killed before the first has exited: what both hold must survive.
//! Random faults are seldom so close together, so some worlds have this one in addition.

use super::faults::{Fault, Kind, LAST_MS};
use crate::sched::simulation::Seed;

/// One world in this many.
const WORLDS: u64 = 6;

/// The additional faults of a world.
pub(super) fn leaving(seed: &mut Seed, hosts: usize) -> Vec<Fault> {
    if !seed.one_in(WORLDS) {
        return Vec::new();
    }
    let hosts = hosts as u64;
    let leaver = seed.below(hosts);
    let other = (leaver + 1 + seed.below(hosts - 1)) % hosts;
    let at = 200 + seed.below(LAST_MS - 200);
    let drain = Fault { at, kind: Kind::Drain { host: leaver as usize } };
    let at = at + seed.below(600);
    let kill = Fault { at, kind: Kind::Kill { host: other as usize, back: 20 + seed.below(900) } };
    vec![drain, kill]
}
