//! The faults of a world, in a list made from the seed before it runs, so that shrinking can drop some and
//! keep the rest.

use crate::sched::simulation::Seed;

/// The directions of a cut link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Both,
    /// From the first to the second.
    There,
    Back,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A host's worker process is killed and replaced later.
    Kill { host: usize, back: u64 },
    /// A process freezes and goes on.
    Freeze { host: usize, ms: u64 },
    /// The master crashes, losing what is not durable; another starts later.
    CrashMaster { next: u64 },
    /// The master freezes; if that is long, another takes over before it wakes up.
    FreezeMaster { ms: u64 },
    /// Another master takes over from a healthy one.
    Usurp,
    /// The link between a host and the master is cut.
    CutMaster { host: usize, way: Way, ms: u64 },
    /// The link between two hosts is cut.
    CutPeers { one: usize, other: usize, way: Way, ms: u64 },
    /// A host's messages, and the master's to it, are slow.
    Slow { host: usize, ms: u64, by: u64 },
    /// Storage is full.
    Full { ms: u64 },
    /// Storage hangs.
    Hang { ms: u64 },
    /// Storage is slow.
    SlowStorage { ms: u64 },
    /// The newest saved state of a group becomes unreadable.
    Damage { which: u64 },
    /// Messages arrive twice.
    Doubling { ms: u64 },
    /// Messages overtake each other.
    Reordering { ms: u64 },
    /// Tasks fail.
    FailTasks { ms: u64 },
    /// The master's clock is set.
    Jump { by: i64 },
    /// A worker is drained.
    Drain { host: usize },
    /// A host is added.
    Join,
    /// The job is stopped and started again.
    Stop,
    /// The link from one host to another is slow.
    SlowPeer { one: usize, other: usize, ms: u64, by: u64 },
    /// The master gets several events before it acts on the first.
    Busy { ms: u64 },
    /// Two hosts' worker processes are killed at once.
    KillBoth { one: usize, other: usize, back: u64 },
    /// All hosts' processes are killed, with none for a long time.
    KillAll { back: u64 },
}

impl Kind {
    /// Duration of such a loss, in milliseconds.
    pub(super) fn lasts(self) -> u64 {
        match self {
            Self::Kill { back, .. } | Self::KillBoth { back, .. } | Self::KillAll { back } => back,
            Self::Freeze { ms, .. } | Self::CutMaster { ms, .. } | Self::CutPeers { ms, .. } => ms,
            _ => 0,
        }
    }

    /// The hosts whose worker the master loses.
    pub(super) fn takes(self) -> [Option<usize>; 2] {
        match self {
            Self::Kill { host, .. } => [Some(host), None],
            Self::Freeze { host, ms } | Self::CutMaster { host, ms, .. } if ms >= 250 => {
                [Some(host), None]
            }
            Self::CutPeers { one, other, ms, .. } if ms >= 250 => [Some(one), Some(other)],
            _ => [None, None],
        }
    }
}

/// A fault and its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) at: u64,
    pub(super) kind: Kind,
}

/// Latest start of a fault.
pub(super) const LAST_MS: u64 = 2000;

/// Makes all faults of a world: first the independent ones, ordered by time.
pub(super) fn faults(seed: &mut Seed, hosts: usize) -> Vec<Fault> {
    let count = 1 + seed.below(7);
    // In some worlds, all faults are of one kind.
    let alike = seed.one_in(4).then(|| seed.below(KINDS));
    let mut faults: Vec<Fault> = (0..count)
        .map(|_| {
            let at = 50 + seed.below(LAST_MS - 50);
            let which = alike.filter(|_| !seed.one_in(3)).unwrap_or_else(|| seed.below(KINDS));
            Fault { at, kind: kind(seed, which, hosts) }
        })
        .collect();
    faults.sort_by_key(|fault| fault.at);
    if seed.one_in(3) {
        faults.extend(pair(seed, hosts));
    }
    faults
}

/// Two faults of the same host: the second hits before the effects of the first are over.
fn pair(seed: &mut Seed, hosts: usize) -> [Fault; 2] {
    let hosts = hosts as u64;
    let (host, other) = (seed.below(hosts) as usize, seed.below(hosts) as usize);
    let (at, ms) = (50 + seed.below(LAST_MS - 50), 50 + seed.below(190));
    let by = 20 + seed.below(350);
    let first = match seed.below(5) {
        0 | 1 => Kind::SlowPeer { one: host, other, ms: ms + 200, by },
        2 => Kind::CutPeers { one: host, other, way: Way::There, ms },
        3 => Kind::Slow { host, ms, by: by.min(200) },
        _ => Kind::Busy { ms: ms + 200 },
    };
    let second = match seed.below(7) {
        0 | 1 => Kind::Kill { host, back: 20 + seed.below(900) },
        2 | 3 => Kind::Drain { host },
        4 => Kind::Drain { host: other },
        5 => Kind::CrashMaster { next: 20 + seed.below(900) },
        _ => Kind::Usurp,
    };
    [Fault { at, kind: first }, Fault { at: at + seed.below(ms), kind: second }]
}

/// Number of kinds, counting important ones more than once.
const KINDS: u64 = 24;

fn kind(seed: &mut Seed, which: u64, hosts: usize) -> Kind {
    let host = seed.below(hosts as u64) as usize;
    let ms = [30, 150, 500, 1200][seed.below(4) as usize] + seed.below(200);
    let way = [Way::Both, Way::There, Way::Back][seed.below(3) as usize];
    match which {
        0..=2 => Kind::Kill { host, back: 20 + seed.below(900) },
        3 => Kind::Freeze { host, ms },
        4 | 5 => Kind::CrashMaster { next: 20 + seed.below(900) },
        6 => Kind::FreezeMaster { ms },
        7 => Kind::Usurp,
        8 | 9 => Kind::CutMaster { host, way, ms },
        10 | 11 => Kind::CutPeers { one: host, other: seed.below(hosts as u64) as usize, way, ms },
        12 => Kind::Slow { host, ms, by: 20 + seed.below(200) },
        13 => Kind::Full { ms },
        14 => Kind::Hang { ms },
        15 => Kind::SlowStorage { ms },
        16 | 17 => Kind::Damage { which: seed.below(1000) },
        18 => Kind::Doubling { ms },
        19 => Kind::Reordering { ms },
        20 => Kind::FailTasks { ms },
        21 => Kind::Jump { by: seed.below(2000) as i64 - 1000 },
        22 => match seed.one_in(2) {
            true => Kind::Drain { host },
            false => Kind::Join,
        },
        _ => Kind::Stop,
    }
}
