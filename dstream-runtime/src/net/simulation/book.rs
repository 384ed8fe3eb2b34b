//! The book of a world: records everything that processes send and receive, and checks the invariants.
//!
//! A violation is recorded and ends the world, because a spawned task cannot fail a test.

use std::collections::{BTreeMap, BTreeSet};

use super::words::{EndId, Origin};
use super::{Host, Sites, Story, hash};
use crate::net::CloseReason;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    Calling,
    Open,
    Closed,
}

/// One end of a connection.
#[derive(Debug)]
struct End {
    with: Host,
    phase: Phase,
    /// The other end, once it has sent something.
    other: Option<EndId>,
    sent: u64,
    heard: u64,
    /// Messages sent before the goodbye.
    parted: Option<u64>,
    pushed: u64,
    /// Cancelled blocks, which may still arrive.
    cancelled: BTreeSet<u64>,
    /// Blocks of failed transfers.
    failed: BTreeSet<u64>,
    taken: BTreeSet<u64>,
}

#[derive(Debug)]
struct Owner {
    host: Host,
    lives: bool,
    is_stranger: bool,
    /// Transfers that are neither done nor failed.
    under_way: usize,
    has_stopped: bool,
}

#[derive(Debug, Default)]
pub(super) struct Book {
    owners: BTreeMap<u64, Owner>,
    ends: BTreeMap<EndId, End>,
    pub(super) wrong: Option<String>,
    pub(super) story: Story,
    pub(super) sites: Sites,
    /// Hash of everything recorded here.
    pub(super) trace: u64,
}

impl Book {
    pub(super) fn hit(&mut self, site: &'static str) {
        *self.sites.entry(site).or_default() += 1;
    }

    fn note(&mut self, numbers: &[u64]) {
        self.trace = hash(&[self.trace, hash(numbers)]);
    }

    pub(super) fn violated(&mut self, why: String) {
        self.wrong.get_or_insert(why);
    }

    /// Records that a process starts.
    pub(super) fn begins(&mut self, process: u64, host: Host, is_stranger: bool) {
        self.owners.insert(
            process,
            Owner { host, lives: true, is_stranger, under_way: 0, has_stopped: false },
        );
    }

    /// Records that a process starts nothing new.
    pub(super) fn stops(&mut self, process: u64) {
        if let Some(owner) = self.owners.get_mut(&process) {
            owner.has_stopped = true;
        }
    }

    pub(super) fn has_stopped(&self, process: u64) -> bool {
        self.owners.get(&process).is_some_and(|owner| owner.has_stopped)
    }

    /// Records that a process and its ends are gone.
    pub(super) fn died(&mut self, process: u64) {
        if let Some(owner) = self.owners.get_mut(&process) {
            owner.lives = false;
        }
    }

    /// Records that a process says goodbye to all peers.
    pub(super) fn parts(&mut self, process: u64) {
        for (_, end) in self.ends.range_mut(Self::of(process)) {
            end.parted.get_or_insert(end.sent);
        }
    }

    fn of(process: u64) -> std::ops::RangeInclusive<EndId> {
        EndId { process, peer: 0 }..=EndId { process, peer: u64::MAX }
    }

    fn insert(&mut self, id: EndId, with: Host, phase: Phase) {
        let end = End {
            with,
            phase,
            other: None,
            sent: 0,
            heard: 0,
            parted: None,
            pushed: 0,
            cancelled: BTreeSet::new(),
            failed: BTreeSet::new(),
            taken: BTreeSet::new(),
        };
        self.ends.insert(id, end);
    }

    pub(super) fn calls(&mut self, id: EndId, with: Host) {
        self.note(&[1, id.process, id.peer]);
        self.insert(id, with, Phase::Calling);
    }

    /// Records a connection; `with` is the host if the certificate is of this cluster.
    pub(super) fn connected(&mut self, id: EndId, with: Option<Host>) {
        self.note(&[2, id.process, id.peer]);
        let is_stranger = self.owners.get(&id.process).is_none_or(|owner| owner.is_stranger);
        let Some(with) = with.filter(|_| !is_stranger) else {
            return self.violated(format!("{id:?}: a foreign process is connected"));
        };
        match self.ends.get_mut(&id) {
            Some(end) if end.phase == Phase::Calling && end.with == with => end.phase = Phase::Open,
            Some(end) => {
                let why = format!("{id:?} is connected to {with}, and was {end:?}");
                self.violated(why);
            }
            None => self.insert(id, with, Phase::Open),
        }
        if self.has_stopped(id.process)
            && let Some(end) = self.ends.get_mut(&id)
        {
            // A process that is ending closes new connections as well.
            end.parted = Some(end.sent);
        }
        self.hit("connected");
    }

    /// Checks that bytes sent at one end may arrive at the other.
    fn joins(&mut self, here: EndId, there: EndId) -> Result<(), String> {
        let host = |id: EndId| self.owners.get(&id.process).map(|owner| owner.host);
        let (from, to) = (host(there), host(here));
        let of = |id: EndId, other: EndId, host: Option<Host>| match self.ends.get(&id) {
            Some(end) if end.other.is_some_and(|is| is != other) => {
                Err(format!("{id:?} hears {other:?} and {:?}", end.other))
            }
            Some(end) if Some(end.with) != host => Err(format!("{id:?} is with {}", end.with)),
            Some(_) => Ok(()),
            None => Err(format!("{id:?} was never connected")),
        };
        of(here, there, from)?;
        of(there, here, to)?;
        for (id, other) in [(here, there), (there, here)] {
            if let Some(end) = self.ends.get_mut(&id) {
                end.other = Some(other);
            }
        }
        match self.ends.get(&here) {
            Some(end) if end.phase == Phase::Open => Ok(()),
            _ => Err(format!("{here:?} hears something and is not open")),
        }
    }

    /// The number of the next message of an end.
    pub(super) fn next(&self, id: EndId) -> Origin {
        Origin { end: id, number: self.ends.get(&id).map_or(0, |end| end.sent) }
    }

    /// Records a sent message.
    pub(super) fn said(&mut self, id: EndId) {
        if let Some(end) = self.ends.get_mut(&id) {
            end.sent += 1;
        }
    }

    pub(super) fn heard(&mut self, id: EndId, what: Result<Origin, String>) {
        let checked = what.and_then(|origin| {
            self.joins(id, origin.end)?;
            let sent = self.ends.get(&origin.end).map_or(0, |end| end.sent);
            let Some(end) = self.ends.get_mut(&id) else { return Ok(()) };
            if origin.number != end.heard || origin.number >= sent {
                let heard = end.heard;
                return Err(format!("{id:?} hears {origin:?}; {heard} are heard, {sent} are sent"));
            }
            end.heard += 1;
            self.note(&[3, id.process, id.peer, origin.number]);
            Ok(())
        });
        self.check(checked);
    }

    /// The number of the next block of an end.
    pub(super) fn next_block(&self, id: EndId) -> Origin {
        Origin { end: id, number: self.ends.get(&id).map_or(0, |end| end.pushed) }
    }

    /// Records pushed blocks.
    pub(super) fn pushed(&mut self, id: EndId, blocks: u64) {
        if let Some(end) = self.ends.get_mut(&id) {
            end.pushed += blocks;
        }
    }

    /// Records cancelled blocks, which may or may not arrive.
    pub(super) fn cancelled(&mut self, id: EndId, blocks: std::ops::Range<u64>) {
        self.hit("a transfer is cancelled");
        if let Some(end) = self.ends.get_mut(&id) {
            end.cancelled.extend(blocks);
        }
    }

    /// Records blocks of a failed transfer. If the connection stays open, the failure was false.
    pub(super) fn failed(&mut self, id: EndId, blocks: std::ops::Range<u64>) {
        self.hit("a transfer fails");
        if let Some(end) = self.ends.get_mut(&id) {
            end.failed.extend(blocks);
        }
    }

    /// Records the unfinished transfers of a process.
    pub(super) fn still_under_way(&mut self, process: u64, transfers: usize) {
        if let Some(owner) = self.owners.get_mut(&process) {
            owner.under_way = transfers;
        }
    }

    /// Returns a process with unfinished transfers.
    pub(super) fn waits(&self) -> Option<u64> {
        let waits = |(_, owner): &(&u64, &Owner)| owner.lives && owner.under_way > 0;
        self.owners.iter().find(waits).map(|(process, _)| *process)
    }

    pub(super) fn took(&mut self, id: EndId, what: Result<Origin, String>) {
        let checked = what.and_then(|origin| {
            self.joins(id, origin.end)?;
            let pushed = self.ends.get(&origin.end).map_or(0, |end| end.pushed);
            let Some(end) = self.ends.get_mut(&id) else { return Ok(()) };
            if origin.number >= pushed || !end.taken.insert(origin.number) {
                return Err(format!("{id:?} takes block {origin:?}, of {pushed}, once more"));
            }
            self.note(&[4, id.process, id.peer, origin.number]);
            Ok(())
        });
        self.check(checked);
    }

    fn check(&mut self, checked: Result<(), String>) {
        if let Err(why) = checked {
            self.violated(why);
        }
    }

    /// Records a goodbye.
    pub(super) fn says_goodbye(&mut self, id: EndId) {
        self.hit("a goodbye");
        if let Some(end) = self.ends.get_mut(&id) {
            end.parted.get_or_insert(end.sent);
        }
    }

    pub(super) fn closed(&mut self, id: EndId, reason: &CloseReason) {
        self.note(&[5, id.process, id.peer]);
        self.hit(site(reason));
        let Some(end) = self.ends.get_mut(&id).filter(|end| end.phase != Phase::Closed) else {
            return self.violated(format!("{id:?} is closed ({reason}), and was not open"));
        };
        // An end that said goodbye may get one as the answer.
        let was_open = end.phase == Phase::Open && end.parted.is_none();
        end.phase = Phase::Closed;
        let (heard, other) = (end.heard, end.other);
        let other = other.and_then(|other| Some((other, self.ends.get(&other)?)));
        if let (CloseReason::Bye, true, Some((other, there))) = (reason, was_open, other)
            && there.parted != Some(heard)
        {
            let (parted, sent) = (there.parted, there.sent);
            self.violated(format!(
                "{id:?} has heard {heard} and a goodbye; {other:?} has sent {sent}, parted: {parted:?}"
            ));
        }
        let is_wrong = match reason {
            CloseReason::Violation(_) | CloseReason::Accused(_) => true,
            // An ending endpoint refuses connections.
            CloseReason::Transport(why) => !LEAVING.iter().any(|leaving| why.contains(leaving)),
            _ => false,
        };
        if is_wrong {
            self.violated(format!("{id:?}: {reason}"));
        }
    }

    /// Open ends of live processes, between two hosts.
    pub(super) fn open_between(&self, one: Host, other: Host) -> Vec<EndId> {
        let between = |(id, end): (&EndId, &End)| {
            let host = self.owners.get(&id.process).filter(|owner| owner.lives)?.host;
            let is_between = [(one, other), (other, one)].contains(&(host, end.with));
            (is_between && end.phase == Phase::Open).then_some(*id)
        };
        self.ends.iter().filter_map(between).collect()
    }

    /// Returns a connection with two open ends, and what each end has received.
    pub(super) fn between(&self, one: Host, other: Host) -> Option<[u64; 4]> {
        let open = self.open_between(one, other);
        let [first, second] = open[..] else { return None };
        let (first, second) = (&self.ends[&first], &self.ends[&second]);
        let blocks = |end: &End| end.taken.len() as u64;
        Some([first.heard, second.heard, blocks(first), blocks(second)])
    }

    /// Checks that everything sent on an open connection has arrived.
    pub(super) fn has_arrived(&self, one: Host, other: Host) -> Result<(), String> {
        for id in self.open_between(one, other) {
            let end = &self.ends[&id];
            let Some(there) = end.other.and_then(|other| self.ends.get(&other)) else {
                return Err(format!("{id:?} has no other end"));
            };
            if end.sent != there.heard {
                return Err(format!("{id:?} has sent {}, heard are {}", end.sent, there.heard));
            }
            if let Some(block) = end.failed.first() {
                return Err(format!(
                    "{id:?}: block {block} has failed, and the connection is open"
                ));
            }
            let missing = (0..end.pushed)
                .find(|block| !there.taken.contains(block) && !end.cancelled.contains(block));
            if let Some(block) = missing {
                return Err(format!("{id:?} has pushed block {block}, which did not arrive"));
            }
        }
        Ok(())
    }

    /// Whether an end is open and its process lives.
    pub(super) fn is_open(&self, id: EndId) -> bool {
        let lives = self.owners.get(&id.process).is_some_and(|owner| owner.lives);
        lives && self.ends.get(&id).is_some_and(|end| end.phase == Phase::Open)
    }

    /// Ends left open by a process that ended politely.
    pub(super) fn left_open(&self, process: u64) -> Vec<EndId> {
        let ends = self.ends.range(Self::of(process));
        ends.filter(|(_, end)| end.phase != Phase::Closed).map(|(id, _)| *id).collect()
    }
}

/// Texts with which an ending endpoint refuses connections.
const LEAVING: [&str; 2] =
    ["refused to accept a new connection", "to be closed during the handshake"];

fn site(reason: &CloseReason) -> &'static str {
    match reason {
        CloseReason::Local => "closed here",
        CloseReason::Bye => "a goodbye is heard",
        CloseReason::Refused(_) => "refused",
        CloseReason::Unreachable => "unreachable",
        CloseReason::NoBulk { .. } => "no way to the port for blocks",
        CloseReason::Silent => "silence",
        CloseReason::Reset => "a reset",
        CloseReason::Violation(_) => "a violation",
        CloseReason::Accused(_) => "an accusation",
        CloseReason::Slow => "too slow",
        CloseReason::Transport(_) => "a broken transport",
    }
}
