//! How much the engine of a process lacks a processor.
//!
//! An engine is in a *turn* while it does not wait for events. A turn that takes longer than its thread has had a
//! processor lacked one, unless other threads of the same process had it: a process with much to do is not starved.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// For how long an engine wanted a processor, for how long it had one, and for how much of the rest other threads of its
/// process may have had it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Turns {
    pub(crate) took: Duration,
    pub(crate) busy: Duration,
    pub(crate) shared: Duration,
}

/// Processor time of the engine's thread and of its process.
#[derive(Debug, Clone, Copy)]
struct Busy {
    thread: Duration,
    process: Duration,
}

impl Busy {
    fn now() -> Self {
        Self { thread: super::busy(), process: super::process_busy() }
    }
}

/// Counts the turns of an engine; used by its thread alone.
#[derive(Debug)]
pub(super) struct Counter {
    since: Cell<Instant>,
    /// How long it has waited for events since then.
    waited: Cell<Duration>,
    busy: Cell<Busy>,
}

impl Counter {
    pub(super) fn new() -> Self {
        let (since, waited) = (Cell::new(super::now()), Cell::default());
        Self { since, waited, busy: Cell::new(Busy::now()) }
    }

    /// The engine waits for an event, at most until that time: what goes beyond is a lack of a processor.
    pub(super) fn wait<T>(&self, until: Option<Instant>, wait: impl FnOnce() -> T) -> T {
        let from = super::now();
        let event = wait();
        let to = super::now();
        let to = until.map_or(to, |until| to.min(until));
        self.waited.set(self.waited.get() + to.saturating_duration_since(from));
        event
    }

    /// The turns since the last call.
    pub(super) fn take(&self) -> Turns {
        let (now, busy) = (super::now(), Busy::now());
        let all = now.saturating_duration_since(self.since.replace(now));
        let before = self.busy.replace(busy);
        let thread = busy.thread.saturating_sub(before.thread);
        let process = busy.process.saturating_sub(before.process);
        turns(all, self.waited.take(), thread, process)
    }
}

fn turns(all: Duration, waited: Duration, thread: Duration, process: Duration) -> Turns {
    let took = all.saturating_sub(waited).max(thread);
    let shared = process.saturating_sub(thread).min(took - thread);
    Turns { took, busy: thread, shared }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_engine_lacks_no_thread_of_its_process_had() {
        let of = |all, waited, thread, process| {
            let [all, waited, thread, process] =
                [all, waited, thread, process].map(Duration::from_millis);
            let Turns { took, busy, shared } = turns(all, waited, thread, process);
            (took.as_millis(), busy.as_millis(), shared.as_millis())
        };
        assert_eq!(of(100, 90, 10, 10), (10, 10, 0));
        assert_eq!(of(100, 20, 12, 15), (80, 12, 3));
        // Executors have taken the processors of this process.
        assert_eq!(of(100, 20, 12, 200), (80, 12, 68));
        // Clocks differ a little, and waiting takes some time of the processor.
        assert_eq!(of(100, 100, 1, 0), (1, 1, 0));
    }

    #[test]
    fn waiting_is_no_turn_until_it_takes_longer_than_it_should() {
        let (counter, begun) = (Counter::new(), crate::host::now());
        let ms = Duration::from_millis;
        let until = |after| {
            let times = std::iter::repeat_with(crate::host::now);
            times.into_iter().find(|now| *now >= begun + ms(after))
        };
        counter.wait(None, || until(20));
        let first = counter.waited.get();
        assert!(first > Duration::ZERO);
        assert!(counter.wait(Some(begun + ms(30)), || until(50)).is_some());
        let both = counter.waited.get();
        assert!(both >= first && both <= ms(30), "{first:?}, {both:?}");
        counter.take();
        assert_eq!(counter.waited.get(), Duration::ZERO);
    }
}
