//! Workers whose way to their master is slow.

use super::world;
use crate::net::simulation::{Directions, Fault, Kind, LinkFault};

/// Milliseconds of a way: an answer takes almost as long as a worker waits for it at first, and the handshakes of both
/// connections take several times as long.
const WAY: u64 = 125;
/// Ten of these ways, for the handshakes, the welcome and the answer to that, and a margin that is less than another call.
const JOINED: u64 = 10 * WAY + 250;

/// The first world of one worker, without clients.
fn of_one_worker() -> u64 {
    let is_it = |number: &u64| world::hosts(*number) == 2 && !world::is_pushed(*number);
    (1..).find(is_it).expect("one of the first worlds has two hosts")
}

#[test]
fn a_worker_that_was_answered_waits_for_its_welcome() {
    let ways = Directions::Both;
    let slow = Kind::Link { one: 0, other: 1, ways, trouble: LinkFault::Delay(WAY), ms: 3000 };
    let seen = world::run(of_one_worker(), &[Fault { at: 0, kind: slow }]).expect("it holds");
    assert!(seen.joined.is_some_and(|at| at < JOINED), "{:?}", seen.joined);
}
