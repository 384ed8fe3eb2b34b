//! Workers' processes that end at the same time: two of them, while others hold what both had; or all, in a job that may
//! lose what clients have pushed and must say so; and then a master that was told to go on without. At random, faults are seldom so close to each other.

use super::faults::{Fault, Kind, LAST_MS};
use crate::sched::simulation::Seed;

/// One world in this many has two that end together, and as many have all.
const WORLDS: u64 = 5;
/// How long all are absent, in milliseconds.
const GONE_MS: u64 = 20_000;

/// The additional faults of a world.
pub(super) fn together(seed: &mut Seed, hosts: usize) -> Vec<Fault> {
    let at = 200 + seed.below(LAST_MS - 200);
    match seed.below(WORLDS) {
        0 if hosts > 2 => {
            let hosts = hosts as u64;
            let one = seed.below(hosts);
            let other = (one + 1 + seed.below(hosts - 1)) % hosts;
            let (one, other) = (one as usize, other as usize);
            let both =
                Fault { at, kind: Kind::KillBoth { one, other, back: 20 + seed.below(900) } };
            // The master may learn of both before it has told any worker of the first.
            let busy = seed.one_in(2).then_some(Fault { at, kind: Kind::Busy { ms: 900 } });
            busy.into_iter().chain([both]).collect()
        }
        1 => {
            let kill = Fault { at, kind: Kind::KillAll { back: GONE_MS } };
            // By then the job goes on without what is lost, if it is to; workers are there again, or not yet.
            let knows = [10_000, GONE_MS + 100][seed.below(2) as usize] + seed.below(4000);
            let next = 20 + seed.below(900);
            vec![kill, Fault { at: at + knows, kind: Kind::CrashMaster { next } }]
        }
        _ => Vec::new(),
    }
}
