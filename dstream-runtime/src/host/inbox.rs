//! Where an engine waits for what happens: the only place where it stands still.

use std::time::Instant;

use crossbeam_channel::Receiver;

#[cfg(test)]
use super::simulated::Later;

/// What an engine waits for.
pub(crate) trait Arrives {
    /// Which thread tells it, what it is about, and how many milliseconds that may take in a simulated process.
    #[cfg(test)]
    fn lane(&self) -> Lane;
}

/// What one thread of a process tells. Of what is told at one time, the lanes come in the order of their names, and
/// within a lane by what it is about, if the thread may do things in another order than they were asked for.
#[cfg(test)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Lane {
    pub(crate) name: &'static str,
    pub(crate) about: (u64, u64, u64),
    pub(crate) most_ms: u64,
}

/// The events of one engine.
pub(crate) struct Inbox<T> {
    events: Receiver<T>,
    #[cfg(test)]
    later: Option<Later<T>>,
}

impl<T: Arrives> Inbox<T> {
    /// Of the engine that runs on this thread.
    pub(crate) fn new(events: Receiver<T>) -> Self {
        Self {
            events,
            #[cfg(test)]
            later: Later::here(),
        }
    }

    /// The next event; nothing if there was none until then, or there will never be one.
    pub(crate) fn next(&self, until: Option<Instant>) -> Option<T> {
        #[cfg(test)]
        if let Some(later) = &self.later {
            return later.next(&self.events, until);
        }
        match until {
            Some(at) => self.events.recv_deadline(at).ok(),
            None => self.events.recv().ok(),
        }
    }

    /// The next event, if it is there.
    pub(crate) fn ready(&self) -> Option<T> {
        #[cfg(test)]
        if let Some(later) = &self.later {
            return later.ready();
        }
        self.events.try_recv().ok()
    }
}
