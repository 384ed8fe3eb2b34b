//! The second ring: the real transport (quinn, rustls and this module) of a cluster's processes in one
//! thread, over a simulated network and a paused clock, from a seed.
//!
//! The first ring (`sched/simulation`) simulates the decisions; here only sockets are simulated. A world has
//! some hosts with a process each, a list of faults, and a book of everything sent and received, which
//! checks:
//!
//! * messages arrive once, in order, and before a goodbye; blocks arrive whole and once;
//! * a finished transfer has arrived; one that cannot arrive is reported as failed;
//! * no process is heard without a certificate of the cluster's authority;
//! * a long cut closes the connection on both sides; once faults end, all processes are connected again and
//!   everything sent arrives;
//! * undelivered bytes are bounded.
//!
//! Two runs of a seed send datagrams of equal lengths at equal times, with equal fates. Their bytes differ,
//! since keys and nonces are random; nothing depends on them.
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
pub(crate) use self::faults::{Directions, Fault, Kind, LONG_MS, befall};
pub(crate) use self::link::LinkFault;
pub(crate) use self::network::{Network, address};
pub(crate) use self::process::{PORT, Process, wall};
pub(crate) use self::world::in_virtual_time;
use crate::sched::simulation::hash;

/// A simulated host: the last byte of its address.
pub(crate) type Host = u8;

/// Sites reached, and how often.
pub(crate) type Sites = BTreeMap<&'static str, u64>;

/// Adds sites reached elsewhere.
pub(crate) fn add(sites: &mut Sites, others: Sites) {
    for (site, count) in others {
        *sites.entry(site).or_default() += count;
    }
}

/// Lines kept of a story.
const LINES: usize = 80;

/// The latest events of a world, printed if a check fails.
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
