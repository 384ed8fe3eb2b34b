//! The cores over the real transport: a master and its workers, each a process with a real endpoint on a simulated
//! network (see [`net::simulation`](crate::net::simulation)), whose messages and blocks go through QUIC. What
//! drivers do is done here by small ones, which run as tasks: the real ones wait on channels for threads of theirs,
//! and look at the clock of the system.
//!
//! What must hold is what [`outside`](super::outside) and [`reference`](super::reference) demand, of every task that
//! runs and of everything that is published; and when no more goes wrong, the job ends.

mod links;
mod master;
mod words;
mod worker;
mod world;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::outside::Outside;
use super::reference::Reference;
use super::{Seed, hash, plans, seeds};
use crate::id::BatchSeq;
use crate::net::NetEvent;
use crate::net::simulation::{Authorities, Fault, Host, Sites, Story, add, only};
use crate::plan::Plan;

/// How long a worker may be silent, and after how long it takes its master for gone.
const LEASE_MS: u64 = 600;
const SILENCE_MS: u64 = 700;
/// How often workers show that they live.
const BEAT_MS: u64 = 100;
const INTERVAL_MS: u64 = 120;

/// What a job is like, and what all its masters and workers find where it is kept.
struct Job {
    plan: &'static Plan,
    number: u64,
    partitions: u32,
    workers: u32,
    /// How much each source brings.
    totals: Vec<u64>,
    kept: Mutex<Kept>,
}

struct Kept {
    outside: Outside,
    /// What every task makes, as the master of each term sees the inputs.
    references: BTreeMap<u32, Reference>,
    is_over: bool,
    sites: Sites,
    trace: u64,
    story: Story,
}

impl Job {
    fn new(number: u64, seed: &mut Seed, workers: u32) -> Self {
        let (_, plan) = plans()[(number % 2) as usize];
        let kept = Kept {
            outside: Outside::new(BatchSeq(1), plan.sources.len()),
            references: BTreeMap::new(),
            is_over: false,
            sites: Sites::new(),
            trace: 0,
            story: Story::default(),
        };
        Self {
            plan,
            number,
            partitions: 1 + seed.below(4) as u32,
            workers,
            totals: plan.sources.iter().map(|_| 10 + seed.below(50)).collect(),
            kept: Mutex::new(kept),
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hit(&self, site: &'static str) {
        *self.kept().sites.entry(site).or_default() += 1;
    }

    /// For people, should something not hold.
    fn tell_of(&self, event: &NetEvent, at: u64, host: Host) {
        if !matches!(event, NetEvent::Message { .. } | NetEvent::Block { .. }) {
            self.kept().story.tell(at, format_args!("host {host}: {event:?}"));
        }
    }

    /// Something has happened.
    fn mark(&self, numbers: &[u64]) {
        let mut kept = self.kept();
        kept.trace = hash(&[kept.trace, hash(numbers)]);
    }
}

impl Kept {
    /// As the master of that term sees the inputs.
    fn reference(&mut self, term: u32) -> &mut Reference {
        self.references.get_mut(&term).expect("a master has begun with it")
    }
}

/// Seeds of the test.
const USUAL: u64 = 30;

/// What must have been met with.
const SITES: [&str; 15] = [
    "a worker joins",
    "blocks go beside a message",
    "published",
    "a state is loaded",
    "a recovery",
    "a worker is killed",
    "a master is killed",
    "a master is silent",
    "a worker has lost its master",
    "a worker is evicted",
    "two workers have lost each other",
    "a cut link",
    "loss",
    "damaged",
    "a socket takes nothing",
];

fn check(number: u64, of: &Authorities) -> world::Seen {
    let faults = world::faults(number);
    world::run(number, &faults, of).unwrap_or_else(|wrong| {
        let fewer = Fault::shrink(&faults, |fewer| world::run(number, fewer, of).is_err());
        panic!("ring, seed {number}: {wrong}\nand with these faults alone: {fewer:#?}")
    })
}

#[test]
fn jobs_over_the_real_transport_publish_the_same_whatever_goes_wrong() {
    let authorities = Authorities::new();
    let mut sites = Sites::new();
    for number in (0..seeds(USUAL)).filter(|number| only().is_none_or(|only| only == *number)) {
        let seen = check(number, &authorities);
        if number < 4 {
            let again = check(number, &authorities);
            assert_eq!(again.trace, seen.trace, "seed {number} is not the same again");
        }
        add(&mut sites, seen.sites);
    }
    eprintln!("{sites:#?}");
    for site in SITES.iter().filter(|_| only().is_none()) {
        assert!(sites.contains_key(site), "never happened: {site}");
    }
}
