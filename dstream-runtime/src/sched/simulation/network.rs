//! Messages in flight in a simulated cluster: in any order, which is the worst for the cores, or in virtual
//! time over connections, where links and hosts have faults.
//!
//! Connections keep the order of messages between two places, and lose them when they break; nothing reaches
//! a frozen host or crosses a cut link before that ends.

use std::collections::BTreeMap;

use super::Seed;
use super::message::Message;
use crate::id::WorkerId;
use crate::sched::message::ToMaster;

/// A place where events happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// The master of a term.
    Master(u32),
    /// A host with a worker's process.
    Machine(usize),
    /// Journal, saved states, outputs.
    Storage,
}

/// Current conditions, each with its end.
#[derive(Debug, Clone, Default)]
pub(super) struct Conditions {
    frozen: BTreeMap<Place, u64>,
    /// One-way.
    cuts: BTreeMap<(Place, Place), u64>,
    /// One-way, with the extra delay.
    slow: BTreeMap<(Place, Place), (u64, u64)>,
    pub(super) full: u64,
    pub(super) slow_storage: u64,
    pub(super) doubling: u64,
    pub(super) failing: u64,
    pub(super) reordering: u64,
    /// The master handles several events at once.
    pub(super) busy: u64,
}

impl Conditions {
    pub(super) fn freeze(&mut self, place: Place, until: u64) {
        let frozen = self.frozen.entry(place).or_default();
        *frozen = until.max(*frozen);
    }

    pub(super) fn cut(&mut self, from: Place, to: Place, until: u64) {
        let cut = self.cuts.entry((from, to)).or_default();
        *cut = until.max(*cut);
    }

    pub(super) fn slow_down(&mut self, from: Place, to: Place, until: u64, by: u64) {
        self.slow.insert((from, to), (until, by));
    }

    /// Until when a place is frozen.
    pub(super) fn frozen(&self, place: Place, now: u64) -> Option<u64> {
        self.frozen.get(&place).copied().filter(|until| *until > now)
    }

    /// Until when a link is cut.
    pub(super) fn is_cut(&self, from: Place, to: Place, now: u64) -> Option<u64> {
        self.cuts.get(&(from, to)).copied().filter(|until| *until > now)
    }

    fn delay(&self, from: Place, to: Place, now: u64) -> u64 {
        let slow = self.slow.get(&(from, to)).filter(|(until, _)| *until > now);
        let stored = (from == Place::Storage || to == Place::Storage) && self.slow_storage > now;
        slow.map_or(0, |(_, by)| *by) + if stored { 60 } else { 0 }
    }
}

/// Messages by arrival time.
pub(super) struct Timed {
    pub(super) now: u64,
    seed: Seed,
    due: BTreeMap<(u64, u64), Message>,
    sent: u64,
    /// Arrival of the last message between two places.
    last: BTreeMap<(Place, Place), u64>,
    /// How far the master's clock is ahead.
    pub(super) skew: i64,
    pub(super) conditions: Conditions,
    pub(super) machines: BTreeMap<WorkerId, usize>,
    term: u32,
}

pub(super) enum Network {
    Any(Vec<Message>),
    Timed(Box<Timed>),
}

impl Network {
    pub(super) fn push(&mut self, message: Message) {
        match self {
            Self::Any(messages) => messages.push(message),
            Self::Timed(timed) => timed.push(message),
        }
    }

    /// The unordered messages.
    pub(super) fn any(&mut self) -> &mut Vec<Message> {
        match self {
            Self::Any(messages) => messages,
            Self::Timed(_) => panic!("it arrives in time"),
        }
    }

    pub(super) fn timed(&mut self) -> Option<&mut Timed> {
        match self {
            Self::Any(_) => None,
            Self::Timed(timed) => Some(timed),
        }
    }

    /// Removes one message that has not arrived.
    pub(super) fn withdraw(&mut self, is_it: impl Fn(&Message) -> bool) -> bool {
        match self {
            Self::Any(messages) => {
                let at = messages.iter().position(is_it);
                at.map(|at| messages.swap_remove(at)).is_some()
            }
            Self::Timed(timed) => {
                let at = timed.due.iter().find(|(_, message)| is_it(message)).map(|(at, _)| *at);
                at.and_then(|at| timed.due.remove(&at)).is_some()
            }
        }
    }

    pub(super) fn retain(&mut self, mut keep: impl FnMut(&Message) -> bool) {
        match self {
            Self::Any(messages) => messages.retain(keep),
            Self::Timed(timed) => timed.due.retain(|_, message| keep(message)),
        }
    }
}

impl Timed {
    pub(super) fn new(term: u32, now: u64, seed: u64) -> Self {
        Self {
            now,
            seed: Seed(seed | 1),
            due: BTreeMap::new(),
            sent: 0,
            last: BTreeMap::new(),
            skew: 0,
            conditions: Conditions::default(),
            machines: BTreeMap::new(),
            term,
        }
    }

    /// The master's clock.
    pub(super) fn clock(&self) -> u64 {
        self.now.saturating_add_signed(self.skew)
    }

    /// The direction of a message.
    fn way(&self, message: &Message) -> (Place, Place) {
        let master = Place::Master(self.term);
        let machine = |worker: &WorkerId| {
            Place::Machine(self.machines.get(worker).copied().unwrap_or(usize::MAX))
        };
        match message {
            Message::ToMaster(from, ..) | Message::Note(from, _) => (machine(from), master),
            Message::ToWorker(to, _)
            | Message::Alive(to)
            | Message::Welcome(to)
            | Message::JoinAgain(to)
            | Message::Answer(to, _)
            | Message::Crew(to, ..)
            | Message::Receive(to, _)
            | Message::StopReceiving(to) => (master, machine(to)),
            Message::Left(worker) | Message::ReceivedAll(worker) | Message::Listens(worker, _) => {
                (machine(worker), master)
            }
            Message::Unreachable(from, _) => (machine(from), master),
            Message::ToPeer(from, to, ..) | Message::Told(from, to, _) => {
                (machine(from), machine(to))
            }
            Message::Ran(on, ..) | Message::Beat(on) | Message::BrokenLink(on, _) => {
                (machine(on), machine(on))
            }
            Message::Saved(on, ..) | Message::Loaded(on, ..) => (Place::Storage, machine(on)),
            Message::Put(_) | Message::Show(..) | Message::Look => (master, Place::Storage),
            Message::Synced(_) | Message::Fenced | Message::Published(_) => {
                (Place::Storage, master)
            }
            Message::Cut(..)
            | Message::Tick(_)
            | Message::Judge(..)
            | Message::Grace(_)
            | Message::Losses(_)
            | Message::Open(_) => (master, master),
        }
    }

    pub(super) fn push(&mut self, message: Message) {
        let way = self.way(&message);
        let takes = match &message {
            Message::Tick(at) => at.saturating_sub(self.clock()),
            Message::Beat(_) => 100,
            Message::Look => 1000,
            Message::Grace(_) => super::cluster::GRACE_MS,
            Message::Losses(due) | Message::Open(due) => due.saturating_sub(self.now),
            Message::Judge(..) => 2 * super::cluster::LEASE_MS,
            Message::BrokenLink(..) => super::cluster::LEASE_MS + self.seed.below(100),
            Message::Ran(..) => 1 + self.seed.below(25),
            _ if way.0 == way.1 => self.seed.below(5),
            _ => 1 + self.seed.below(6),
        };
        self.push_in(message, way, takes);
    }

    /// Sends a message that takes that long, or longer over a slow link.
    fn push_in(&mut self, message: Message, way: (Place, Place), takes: u64) {
        let mut due = self.now + takes + self.conditions.delay(way.0, way.1, self.now);
        let is_apart = matches!(message, Message::Look);
        // A worker reports what it holds before it joins, on the same stream: the master relies on that
        // order.
        let joins = matches!(message, Message::ToMaster(_, ToMaster::Joined { .. }, _));
        if way.0 != way.1
            && !is_apart
            && !(is_of_many(&message) && !joins && self.conditions.reordering > self.now)
        {
            let last = self.last.entry(way).or_default();
            due = due.max(*last);
            *last = due;
        }
        self.sent += 1;
        self.due.insert((due, self.sent), message);
    }

    /// When the next message arrives.
    pub(super) fn next(&self) -> Option<u64> {
        self.due.first_key_value().map(|((at, _), _)| *at)
    }

    /// Delivers the next message; `None` if it cannot arrive yet.
    pub(super) fn pop(&mut self) -> Option<Message> {
        let ((at, number), message) = self.due.pop_first()?;
        self.now = self.now.max(at);
        let (from, to) = self.way(&message);
        let stored = matches!(message, Message::Put(_) | Message::Show(..) | Message::Look);
        let later = [
            // A frozen place handles nothing.
            self.conditions.frozen(to, self.now),
            self.conditions.is_cut(from, to, self.now),
            Some(self.conditions.full).filter(|until| stored && *until > self.now),
        ];
        if let Some(later) = later.into_iter().flatten().max() {
            let last = self.last.entry((from, to)).or_default();
            *last = later.max(*last);
            self.due.insert((later, number), message);
            return None;
        }
        if is_of_many(&message) && self.conditions.doubling > self.now && self.seed.one_in(4) {
            let takes = 1 + self.seed.below(150);
            self.push_in(message.clone(), (from, from), takes);
        }
        Some(message)
    }
}

/// Whether cores accept it duplicated and reordered.
fn is_of_many(message: &Message) -> bool {
    matches!(message, Message::ToMaster(..) | Message::ToPeer(..))
}
