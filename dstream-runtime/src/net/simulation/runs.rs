//! Worlds by the hundred; and what is done about one in which something does not hold: its seed is said first, and
//! what goes wrong in it is made less until nothing can be left out.

use super::Sites;
use super::faults::Fault;
use super::hash;
use super::world::{Authorities, Seen, hosts, run};
use crate::sched::simulation::{Seed, seeds};

/// Seeds that each test takes.
const USUAL: u64 = 80;

/// What must have been met with in all worlds of a test.
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
    "somebody is refused",
    "somebody joins with a token",
    "a certificate is renewed",
];

/// The only seed that somebody wants to see again.
pub(crate) fn only() -> Option<u64> {
    std::env::var("DSTREAM_SEED").ok().and_then(|number| number.parse().ok())
}

fn check(number: u64, of: &Authorities) -> Seen {
    let hosts = hosts(number);
    let faults = Fault::all(&mut Seed(hash(&[number, 1]) | 1), hosts);
    run(number, &faults, of).unwrap_or_else(|wrong| {
        let fewer = Fault::shrink(&faults, |fewer| run(number, fewer, of).is_err());
        panic!("seed {number}, {hosts} hosts: {wrong}\nand with these faults alone: {fewer:#?}")
    })
}

fn worlds(first: u64) {
    let authorities = Authorities::new();
    let mut sites = Sites::new();
    let all = (0..seeds(USUAL)).map(|n| 2 * n + first);
    for number in all.filter(|number| only().is_none_or(|only| only == *number)) {
        let seen = check(number, &authorities);
        if number < 12 {
            let again = check(number, &authorities);
            assert_eq!(again.trace, seen.trace, "seed {number} is not the same again");
        }
        for (site, count) in seen.sites {
            *sites.entry(site).or_default() += count;
        }
    }
    eprintln!("{sites:#?}");
    for site in SITES.iter().filter(|_| only().is_none()) {
        assert!(sites.contains_key(site), "never happened: {site}");
    }
}

#[test]
fn connections_survive_what_goes_wrong_between_two_to_four_hosts() {
    worlds(0);
}

#[test]
fn and_again_with_other_seeds() {
    worlds(1);
}
