//! Runs worlds by the hundred. A failing world prints its seed, and its faults are shrunk until each one is
//! needed.

use std::panic::resume_unwind;
use std::thread;

use super::Sites;
use super::authorities::Authorities;
use super::faults::Fault;
use super::world::{WorldResult, hosts, run};
use super::{add, hash};
use crate::sched::simulation::{Seed, numbers, only};

/// Seeds per test.
const USUAL: u64 = 60;

/// Seeds that once failed.
const FOUND: [u64; 1] = [
    // Messages before a goodbye had not arrived when the wait ended.
    1215,
];

/// Sites that the worlds of a test must reach.
const SITES: [&str; 29] = [
    "connected",
    "loss",
    "a cut link",
    "a long cut",
    "too long for the link",
    "jitter",
    "doubled",
    "damaged",
    "cut off",
    "longer than it was",
    "rubbish",
    "a datagram of the past",
    "a datagram that is none",
    "a socket takes nothing",
    "a driver takes nothing",
    "many messages are not taken",
    "many blocks are not taken",
    "a process is killed",
    "a process ends",
    "a reset",
    "silence",
    "unreachable",
    "refused",
    "a goodbye is heard",
    "a transfer is cancelled",
    "a transfer fails",
    "a process is refused",
    "a process joins with a token",
    "a certificate is renewed",
];

fn check(number: u64, of: &Authorities) -> WorldResult {
    let hosts = hosts(number);
    let faults = Fault::all(&mut Seed(hash(&[number, 1]) | 1), hosts);
    run(number, &faults, of).unwrap_or_else(|wrong| {
        let fewer = Fault::shrink(&faults, |fewer| run(number, fewer, of).is_err());
        panic!("seed {number}, {hosts} hosts: {wrong}\nand with these faults alone: {fewer:#?}")
    })
}

/// The sites of every other world, even or odd; early ones run twice.
fn worlds(rest: u64, of: &Authorities) -> Sites {
    let mut sites = Sites::new();
    for number in numbers(USUAL).filter(|number| number % 2 == rest) {
        let seen = check(number, of);
        if number < 10 {
            let again = check(number, of);
            assert_eq!(again.trace, seen.trace, "seed {number} does not repeat");
        }
        add(&mut sites, seen.sites);
    }
    sites
}

#[test]
fn connections_survive_faults_between_two_to_four_hosts() {
    let authorities = Authorities::new();
    let sites = thread::scope(|scope| {
        let even = scope.spawn(|| worlds(0, &authorities));
        let mut sites = worlds(1, &authorities);
        add(&mut sites, even.join().unwrap_or_else(|panic| resume_unwind(panic)));
        sites
    });
    eprintln!("{sites:#?}");
    for site in SITES.iter().filter(|_| only().is_none()) {
        assert!(sites.contains_key(site), "never happened: {site}");
    }
}

#[test]
fn found_seeds_hold() {
    let authorities = Authorities::new();
    for number in FOUND {
        check(number, &authorities);
    }
}
