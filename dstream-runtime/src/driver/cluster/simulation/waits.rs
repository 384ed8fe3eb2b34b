//! How long a client of the library waits for its next acknowledgement when a worker is killed, or when two workers
//! cannot reach each other.
//!
//! There are no lifelines in these worlds: a worker that is killed is lost when its lease has ended.

use super::world;
use crate::driver::cluster::MasterOptions;
use crate::guards::{Guard, without};
use crate::net::simulation::{Directions, Fault, Kind, LONG_MS, LinkFault};
use crate::sched::simulation::seeds;

/// Worlds of each kind.
const USUAL: u64 = 4;

/// After its lease, the worker is lost; the client asks its master again within a second, and goes elsewhere.
const KILLED_MS: u64 = MasterOptions::SHORT_LEASE.as_millis() as u64 + 1500;
/// A worker that is not heard is lost to others earlier than to its master, and what it was to keep is kept elsewhere.
const CUT_MS: u64 = 3000;

/// In one world of three a client sends: those with numbers that three divides. It begins within a second.
fn killed(n: u64) -> (u64, Fault) {
    let kind = Kind::Kill { host: 1 + (n % 3) as u8, back: 7000 };
    (3 * n, Fault { at: 1500 + 130 * n, kind })
}

fn cut(n: u64) -> (u64, Fault) {
    let (one, other) = [(1, 2), (2, 3), (3, 1)][(n % 3) as usize];
    let ways = [Directions::Both, Directions::There][(n / 3 % 2) as usize];
    let kind = Kind::Link { one, other, ways, trouble: LinkFault::Cut, ms: LONG_MS + 200 };
    (3 * n, Fault { at: 1500 + 130 * n, kind })
}

/// How long the client waits at the longest.
fn waits(worlds: impl Iterator<Item = (u64, Fault)>) -> u64 {
    let waits = |(number, fault)| {
        let seen = world::run(number, &[fault]);
        seen.unwrap_or_else(|wrong| panic!("drivers, seed {number} with {fault:?}: {wrong}")).waited
    };
    worlds.map(waits).max().unwrap_or_default()
}

#[test]
fn a_client_of_a_killed_worker_goes_on_elsewhere() {
    let waited = waits((0..seeds(USUAL)).map(killed));
    eprintln!("{waited} ms");
    assert!(waited <= KILLED_MS, "{waited} ms");
}

#[test]
fn a_client_goes_on_where_two_workers_cannot_reach_each_other() {
    let waited = waits((0..seeds(USUAL)).map(cut));
    eprintln!("{waited} ms");
    assert!(waited <= CUT_MS, "{waited} ms");
}

#[test]
fn a_check_that_is_left_out_makes_clients_wait() {
    let waited = without(Guard::OwedIsDoubted, || waits((0..3).map(killed)));
    assert!(waited > KILLED_MS, "{waited} ms");
    let waited = without(Guard::SilentIsLost, || waits((0..3).map(cut)));
    assert!(waited > CUT_MS, "{waited} ms");
}
