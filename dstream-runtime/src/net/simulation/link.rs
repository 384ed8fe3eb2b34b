//! A link: decides the fate of the datagrams from one host to another.

use std::collections::VecDeque;
use std::net::SocketAddr;

use super::{Sites, hash};
use crate::sched::simulation::Seed;

/// The faults of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LinkFault {
    /// Everything is lost.
    Cut,
    /// Lost datagrams per thousand.
    Loss(u64),
    /// Extra milliseconds.
    Delay(u64),
    /// Extra milliseconds at random, so that datagrams overtake each other.
    Jitter(u64),
    /// One in this many arrives twice.
    Doubling(u64),
    /// One in this many arrives with changed bytes.
    Damage(u64),
    /// Datagrams longer than this are dropped silently.
    Hole(usize),
}

/// Passed datagrams kept for replays.
const RECORDED: usize = 24;

pub(super) struct Link {
    seed: Seed,
    /// Milliseconds without a fault.
    takes: u64,
    troubles: Vec<(u64, LinkFault)>,
    number: u64,
    recorded: VecDeque<(SocketAddr, SocketAddr, Vec<u8>)>,
    pub(super) sites: Sites,
    pub(super) trace: u64,
}

impl Link {
    pub(super) fn new(mut seed: Seed) -> Self {
        let takes = [0, 1, 1, 5, 20][seed.below(5) as usize];
        let (recorded, sites) = (VecDeque::new(), Sites::new());
        Self { seed, takes, troubles: Vec::new(), number: 0, recorded, sites, trace: 0 }
    }

    pub(super) fn trouble(&mut self, trouble: LinkFault, until: u64) {
        self.troubles.push((until, trouble));
    }

    pub(super) fn next_number(&mut self) -> u64 {
        self.number += 1;
        self.number
    }

    pub(super) fn recorded(&self, which: u64) -> Option<(SocketAddr, SocketAddr, Vec<u8>)> {
        let at = which.checked_rem(self.recorded.len() as u64)?;
        self.recorded.get(at as usize).cloned()
    }

    fn hit(&mut self, site: &'static str) {
        *self.sites.entry(site).or_default() += 1;
    }

    /// Returns what arrives of a datagram and after how many milliseconds: nothing, the datagram, a changed
    /// one, or two.
    pub(super) fn pass(
        &mut self,
        now: u64,
        ports: (SocketAddr, SocketAddr),
        bytes: &[u8],
    ) -> Vec<(u64, Vec<u8>)> {
        self.troubles.retain(|(until, _)| *until > now);
        if self.recorded.len() == RECORDED {
            self.recorded.pop_front();
        }
        self.recorded.push_back((ports.0, ports.1, bytes.to_vec()));
        let arrivals = self.fate(bytes);
        let mut numbers = vec![self.trace, now, bytes.len() as u64];
        numbers.extend([ports.0.port(), ports.1.port()].map(u64::from));
        numbers.extend(arrivals.iter().flat_map(|(after, bytes)| [*after, bytes.len() as u64]));
        self.trace = hash(&numbers);
        arrivals
    }

    fn fate(&mut self, bytes: &[u8]) -> Vec<(u64, Vec<u8>)> {
        let (mut takes, mut jitter) = (self.takes, 0);
        let (mut lost, mut doubled, mut damaged) = (0, 0, 0);
        let mut longest = usize::MAX;
        for (_, trouble) in &self.troubles {
            match *trouble {
                LinkFault::Cut => lost = 1000,
                LinkFault::Loss(of_thousand) => lost = lost.max(of_thousand),
                LinkFault::Delay(ms) => takes += ms,
                LinkFault::Jitter(ms) => jitter = jitter.max(ms),
                LinkFault::Doubling(one_in) => doubled = one_in,
                LinkFault::Damage(one_in) => damaged = one_in,
                LinkFault::Hole(len) => longest = longest.min(len),
            }
        }
        if lost > 0 && self.seed.below(1000) < lost {
            self.hit(if lost == 1000 { "a cut link" } else { "loss" });
            return Vec::new();
        }
        if bytes.len() > longest {
            self.hit("too long for the link");
            return Vec::new();
        }
        let mut bytes = bytes.to_vec();
        if self.seed.one_in(damaged) {
            self.damage(&mut bytes);
        }
        let mut arrivals = Vec::new();
        if self.seed.one_in(doubled) {
            self.hit("doubled");
            let later = takes + self.seed.below(300);
            arrivals.push((later, bytes.clone()));
        }
        if jitter > 0 {
            self.hit("jitter");
            takes += self.seed.below(jitter + 1);
        }
        arrivals.push((takes, bytes));
        arrivals
    }

    /// Changes bytes. The highest bit stays: a short header mistaken for a long one would be parsed into
    /// random bytes, and the result would not repeat.
    fn damage(&mut self, bytes: &mut Vec<u8>) {
        let len = bytes.len() as u64;
        match self.seed.below(8) {
            0 => {
                self.hit("cut off");
                bytes.truncate(self.seed.below(len) as usize);
            }
            1 => {
                self.hit("longer than it was");
                let more = 1 + self.seed.below(60);
                bytes.extend((0..more).map(|_| self.seed.below(256) as u8));
            }
            2 => {
                self.hit("rubbish");
                bytes.iter_mut().skip(1).for_each(|byte| *byte = self.seed.below(256) as u8);
            }
            _ => {
                self.hit("damaged");
                for _ in 0..1 + self.seed.below(3) {
                    // Headers are short and have the most to break.
                    let within = if self.seed.one_in(2) { len.min(40) } else { len };
                    let (at, bit) = (self.seed.below(within) as usize, self.seed.below(8));
                    let bit = if at == 0 { bit % 7 } else { bit };
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte ^= 1 << bit;
                    }
                }
            }
        }
    }
}
