//! The second ring: the real transport (quinn, rustls, everything of this module) of a cluster's processes in one
//! thread, over a simulated network and a paused clock, from a seed.
//!
//! The first ring (`sched/simulation`) simulates what is decided; here nothing above a socket is simulated. A
//! world is some hosts with a process each, a list of what goes wrong, and a book of everything that processes
//! did and heard, in which must hold:
//!
//! * messages come once and in order, and all of them before a goodbye; blocks come whole, once;
//! * a transfer that is done has arrived, one that cannot is said to have failed;
//! * nobody is heard whom the cluster's authority has not certified;
//! * a connection that is cut for long ends on both sides; when nothing goes wrong any more, all are
//!   connected again, and everything that is sent arrives;
//! * what was sent and is not taken is bounded.
//!
//! Two runs of a seed send datagrams of the same lengths at the same times, which then have the same fates.
//! Their bytes differ: keys and nonces are random. Nothing that happens depends on them.

mod authorities;
mod book;
mod ends;
mod faults;
mod life;
mod link;
mod network;
mod process;
mod runs;
mod socket;
mod words;
mod world;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

pub(crate) use self::authorities::Authorities;
pub(crate) use self::faults::{Fault, Kind, LONG_MS, Ways, befall};
pub(crate) use self::link::Trouble;
pub(crate) use self::network::{Network, address};
pub(crate) use self::process::{PORT, Process, wall};
pub(crate) use self::world::in_virtual_time;
use crate::sched::simulation::hash;

/// A simulated host: the last byte of its address.
pub(crate) type Host = u8;

/// What was met with, and how often.
pub(crate) type Sites = BTreeMap<&'static str, u64>;

/// Adds what was met with elsewhere.
pub(crate) fn add(sites: &mut Sites, others: Sites) {
    for (site, count) in others {
        *sites.entry(site).or_default() += count;
    }
}

/// So many lines of what has happened are kept.
const LINES: usize = 80;

/// What has happened last, for people, should something not hold.
#[derive(Debug, Default)]
pub(crate) struct Story(VecDeque<String>);

impl Story {
    pub(crate) fn tell(&mut self, at: u64, line: fmt::Arguments<'_>) {
        if self.0.len() == LINES {
            self.0.pop_front();
        }
        self.0.push_back(format!("{at:>6} ms: {line}"));
    }
}

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}
