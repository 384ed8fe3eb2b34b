//! Where an engine waits for events: the only place where it blocks.

use std::time::Instant;

use crossbeam_channel::Receiver;

#[cfg(test)]
use super::simulated::Later;
use super::turns::{Counter, Turns};

/// An event of an engine.
pub(crate) trait Arrives {
    /// The sending thread, the subject, and the simulated delay in milliseconds.
    #[cfg(test)]
    fn lane(&self) -> Lane;
}

/// The order of events in a simulated process: simultaneous events are ordered by lane name, and within a
/// lane by subject if its thread may reorder jobs.
#[cfg(test)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Lane {
    pub(crate) name: &'static str,
    pub(crate) about: (u64, u64, u64),
    pub(crate) most_ms: u64,
}

/// The events of an engine.
pub(crate) struct Inbox<T> {
    events: Receiver<T>,
    turns: Counter,
    #[cfg(test)]
    later: Option<Later<T>>,
}

impl<T: Arrives> Inbox<T> {
    /// The inbox of the engine on this thread.
    pub(crate) fn new(events: Receiver<T>) -> Self {
        Self {
            events,
            turns: Counter::new(),
            #[cfg(test)]
            later: Later::here(),
        }
    }

    /// Waits for the next event; `None` after `until`, or if no sender is left.
    pub(crate) fn next(&self, until: Option<Instant>) -> Option<T> {
        self.turns.wait(until, || self.wait(until))
    }

    /// How much the engine has lacked a processor since the last call.
    pub(crate) fn take_turns(&self) -> Turns {
        self.turns.take()
    }

    fn wait(&self, until: Option<Instant>) -> Option<T> {
        #[cfg(test)]
        if let Some(later) = &self.later {
            return later.next(&self.events, until);
        }
        match until {
            Some(at) => self.events.recv_deadline(at).ok(),
            None => self.events.recv().ok(),
        }
    }

    /// The next event, without waiting.
    pub(crate) fn ready(&self) -> Option<T> {
        #[cfg(test)]
        if let Some(later) = &self.later {
            return later.ready();
        }
        self.events.try_recv().ok()
    }
}
