//! A worker that is drained, and another one that is killed before the first one has gone: what they both hold must
//! not go with them. Both at random are seldom so close to each other, so some worlds have this beside all else.

use super::faults::{Fault, Kind, LAST_MS};
use crate::sched::simulation::Seed;

/// One world in so many.
const WORLDS: u64 = 6;

/// What goes wrong in a world beside all else.
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
