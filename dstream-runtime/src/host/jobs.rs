//! What an engine asks of the threads of its process.
//!
//! Simulated time must stand still while any of that is being done, so a simulated process counts it. In all
//! others this is a channel and nothing more.

#[cfg(test)]
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crossbeam_channel::{Receiver, SendError, Sender, unbounded};

#[cfg(test)]
use super::simulated::STUCK;

/// What was asked of threads, and how much of it is done.
#[derive(Debug, Clone)]
pub(crate) struct InFlightJobs {
    #[cfg(test)]
    counted: Arc<Counted>,
}

#[cfg(test)]
#[derive(Debug, Default)]
struct Counted {
    counts: Mutex<Counts>,
    changed: Condvar,
}

#[cfg(test)]
#[derive(Debug, Default)]
struct Counts {
    begun: usize,
    done: usize,
    /// The engine runs, and may ask for more: nothing is begun meanwhile.
    asking: bool,
    /// The engine has waited for threads, whose end it was.
    yielded: bool,
}

/// Those of the process to which this thread belongs.
impl Default for InFlightJobs {
    fn default() -> Self {
        #[cfg(test)]
        if let Some(host) = super::simulated::here() {
            return host.in_flight();
        }
        Self::new()
    }
}

impl InFlightJobs {
    pub(super) fn new() -> Self {
        Self {
            #[cfg(test)]
            counted: Arc::default(),
        }
    }

    /// So many more are asked for; said before anybody can do them.
    #[inline]
    pub(crate) fn begin(&self, count: usize) {
        #[cfg(test)]
        self.change(|counts| counts.begun += count);
        #[cfg(not(test))]
        let _ = count;
    }

    /// So many are done, or never will be; said when what comes of them has been told.
    #[inline]
    pub(crate) fn end(&self, count: usize) {
        #[cfg(test)]
        self.change(|counts| counts.done += count);
        #[cfg(not(test))]
        let _ = count;
    }

    /// Of a thread, before it begins with anything: waits until the engine has asked for everything.
    #[inline]
    pub(crate) fn wait_for_turn(&self) {
        #[cfg(test)]
        drop(self.wait(|counts| counts.asking));
    }

    /// The engine waits for its threads, for their end above all.
    #[inline]
    pub(crate) fn yield_turn(&self) {
        #[cfg(test)]
        self.change(|counts| (counts.asking, counts.yielded) = (false, true));
    }
}

#[cfg(test)]
impl InFlightJobs {
    fn change(&self, how: impl FnOnce(&mut Counts)) {
        how(&mut self.counted.counts.lock().unwrap_or_else(PoisonError::into_inner));
        self.counted.changed.notify_all();
    }

    fn wait(&self, until_not: impl Fn(&mut Counts) -> bool) -> MutexGuard<'_, Counts> {
        let counts = self.counted.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.counted.changed.wait_timeout_while(counts, STUCK, until_not);
        let (counts, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        assert!(!waited.timed_out(), "what an engine has asked for is not done: {counts:?}");
        counts
    }

    /// Whether the engine runs.
    pub(super) fn asks(&self, asking: bool) {
        self.change(|counts| counts.asking = asking);
    }

    /// Whether the engine has waited for the end of threads since this was asked.
    pub(super) fn take_yielded(&self) -> bool {
        let mut counts = self.counted.counts.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut counts.yielded)
    }

    /// Waits until all of them are done; how many that are so far.
    pub(super) fn settle(&self) -> usize {
        self.wait(|counts| counts.begun != counts.done).done
    }
}

/// A channel to a thread of this process.
pub(crate) fn channel<T>() -> (JobSender<T>, JobReceiver<T>) {
    let (sender, receiver) = unbounded();
    let in_flight = InFlightJobs::default();
    (
        JobSender { sender, in_flight: in_flight.clone() },
        JobReceiver { receiver, in_flight, busy: false },
    )
}

/// The end at which something is asked for.
#[derive(Debug)]
pub(crate) struct JobSender<T> {
    sender: Sender<T>,
    in_flight: InFlightJobs,
}

impl<T> Drop for JobSender<T> {
    fn drop(&mut self) {
        self.in_flight.yield_turn();
    }
}

impl<T> JobSender<T> {
    /// Asks for something.
    ///
    /// # Errors
    /// When the thread has ended.
    pub(crate) fn send(&self, errand: T) -> Result<(), SendError<T>> {
        self.in_flight.begin(1);
        let sent = self.sender.send(errand);
        if sent.is_err() {
            self.in_flight.end(1);
        }
        sent
    }
}

/// The end of the thread: everything that is asked of it, in order, until nobody can ask any more. To ask for
/// the next is to have done the one before.
#[derive(Debug)]
pub(crate) struct JobReceiver<T> {
    receiver: Receiver<T>,
    in_flight: InFlightJobs,
    busy: bool,
}

impl<T> Iterator for JobReceiver<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        if std::mem::replace(&mut self.busy, false) {
            self.in_flight.end(1);
        }
        let errand = self.receiver.recv().ok()?;
        self.busy = true;
        self.in_flight.wait_for_turn();
        Some(errand)
    }
}

impl<T> Drop for JobReceiver<T> {
    fn drop(&mut self) {
        // What waits still will not be done.
        self.in_flight.end(usize::from(self.busy) + self.receiver.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_of_a_thread_counts_until_it_is_done() {
        let (ask, asked) = channel();
        let (in_flight, mut asked) = (ask.in_flight.clone(), asked);
        let left = || {
            let counts = in_flight.wait(|_| false);
            counts.begun - counts.done
        };
        (1..=3).for_each(|errand| ask.send(errand).unwrap());
        assert_eq!((asked.next(), left()), (Some(1), 3));
        assert_eq!((asked.next(), left()), (Some(2), 2));
        // A thread that ends leaves the rest undone.
        drop(asked);
        assert_eq!((left(), in_flight.settle()), (0, 3));
        assert!(ask.send(4).is_err());
        assert_eq!((left(), in_flight.settle()), (0, 4));
    }
}
