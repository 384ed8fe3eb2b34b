//! The faults of a world, in a list made from the seed before it runs, so that shrinking can drop some and
//! keep the rest.

use super::Host;
use super::link::LinkFault;
use super::network::{Network, address};
use super::process::PORT;
use crate::sched::simulation::Seed;

/// The directions of a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Directions {
    Both,
    /// From the first host to the second.
    There,
    Back,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A fault of the links between two hosts.
    Link { one: Host, other: Host, ways: Directions, trouble: LinkFault, ms: u64 },
    /// A host is paused.
    Still { host: Host, ms: u64 },
    /// The sockets of a host block.
    Full { host: Host, ms: u64 },
    /// A driver takes no events.
    Asleep { host: Host, ms: u64 },
    /// A process is killed and replaced later, at the same address.
    Kill { host: Host, back: u64 },
    /// The same, after a goodbye.
    End { host: Host, back: u64 },
    /// Recorded datagrams are replayed.
    Again { one: Host, other: Host, many: u64 },
    /// Garbage datagrams arrive.
    Rubbish { host: Host, many: u64 },
}

/// A fault and its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) at: u64,
    pub(crate) kind: Kind,
}

/// Latest start of a fault.
const LAST_MS: u64 = 2500;

/// A cut of this length is noticed on both sides. It is twice the silence, which can grow to three times
/// QUIC's estimate of a round trip, and more on slow links.
pub(crate) const LONG_MS: u64 = 8000;

impl Fault {
    /// Makes all faults of a world with `hosts` hosts.
    pub(crate) fn all(seed: &mut Seed, hosts: Host) -> Vec<Self> {
        let count = seed.below(7);
        // In some worlds, all faults are of one kind.
        let alike = seed.one_in(4).then(|| seed.below(KINDS));
        let mut faults: Vec<Self> = (0..count)
            .map(|_| {
                // Some faults hit the first handshakes.
                let at = if seed.one_in(3) { seed.below(100) } else { seed.below(LAST_MS) };
                let which = alike.filter(|_| !seed.one_in(3)).unwrap_or_else(|| seed.below(KINDS));
                Self { at, kind: kind(seed, which, hosts) }
            })
            .collect();
        faults.sort_by_key(|fault| fault.at);
        faults
    }

    /// Shrinks the faults of a failing world until each one is needed.
    pub(crate) fn shrink(all: &[Self], fails: impl Fn(&[Self]) -> bool) -> Vec<Self> {
        let mut kept = all.to_vec();
        let mut at = 0;
        while at < kept.len() {
            let mut fewer = kept.clone();
            fewer.remove(at);
            match fails(&fewer) {
                true => kept = fewer,
                false => at += 1,
            }
        }
        kept
    }
}

const KINDS: u64 = 21;

fn kind(seed: &mut Seed, which: u64, hosts: Host) -> Kind {
    let one = seed.below(u64::from(hosts)) as Host;
    let other = (one + 1 + seed.below(u64::from(hosts) - 1) as Host) % hosts;
    let ms = [50, 300, 1200, 3000][seed.below(4) as usize] + seed.below(300);
    let ways = [Directions::Both, Directions::Both, Directions::There, Directions::Back]
        [seed.below(4) as usize];
    let link = |trouble, ms| Kind::Link { one, other, ways, trouble, ms };
    match which {
        0 | 1 => link(LinkFault::Cut, if seed.one_in(2) { LONG_MS + 200 } else { ms }),
        2 | 3 => link(LinkFault::Loss([20, 100, 300][seed.below(3) as usize]), ms),
        4 => link(LinkFault::Delay(20 + seed.below(300)), ms),
        5 | 6 => link(LinkFault::Jitter(5 + seed.below(100)), ms),
        7 => link(LinkFault::Doubling(2 + seed.below(6)), ms),
        8 | 9 => link(LinkFault::Damage(2 + seed.below(12)), ms),
        10 | 11 => link(LinkFault::Hole([1200, 1252, 1500, 4000][seed.below(4) as usize]), 20_000),
        12 => Kind::Still { host: one, ms },
        13 => Kind::Full { host: one, ms: ms.min(1500) },
        14 => Kind::Asleep { host: one, ms },
        15 | 16 => Kind::Kill { host: one, back: seed.below(1500) },
        17 => Kind::End { host: one, back: 2500 + seed.below(500) },
        18 => Kind::Full { host: one, ms: ms.min(1500) },
        19 => Kind::Again { one, other, many: 1 + seed.below(40) },
        _ => Kind::Rubbish { host: one, many: 1 + seed.below(40) },
    }
}

/// Applies a fault of the network or its hosts; returns its duration in milliseconds. The world applies
/// those of processes.
pub(crate) fn befall(network: &Network, seed: &mut Seed, kind: Kind) -> u64 {
    match kind {
        Kind::Link { one, other, ways, trouble, ms } => {
            if ways != Directions::Back {
                network.trouble((one, other), trouble, ms);
            }
            if ways != Directions::There {
                network.trouble((other, one), trouble, ms);
            }
            // Connections survive holes.
            if matches!(trouble, LinkFault::Hole(_)) { 0 } else { ms }
        }
        Kind::Still { host, ms } => {
            network.still(host, ms);
            ms
        }
        Kind::Full { host, ms } => {
            network.full(host, ms);
            ms
        }
        Kind::Asleep { host, ms } => {
            network.asleep(host, ms);
            ms
        }
        Kind::Kill { .. } | Kind::End { .. } => 0,
        Kind::Again { one, other, many } => {
            (0..many).for_each(|_| network.again((one, other), seed.below(1000)));
            0
        }
        Kind::Rubbish { host, many } => {
            for _ in 0..many {
                network.inject(address(UNUSED, PORT), address(host, PORT), &rubbish(seed));
            }
            0
        }
    }
}

/// A host without a process.
const UNUSED: Host = 99;

/// Bytes that are no packet; some resemble a first packet.
fn rubbish(seed: &mut Seed) -> Vec<u8> {
    let len = 1 + seed.below(1400);
    let mut bytes: Vec<u8> = (0..len).map(|_| seed.below(256) as u8).collect();
    if seed.one_in(2) {
        bytes[0] = bytes[0] & 0x0f | 0xc0;
        bytes.iter_mut().skip(1).zip([0, 0, 0, 1]).for_each(|(byte, is)| *byte = is);
    }
    bytes
}
