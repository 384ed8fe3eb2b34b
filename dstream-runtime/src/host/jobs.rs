//! Jobs that an engine gives to the threads of its process.
//!
//! Simulated time must not pass while one is running, so a simulated process counts them. Otherwise this is
//! a plain channel.

#[cfg(test)]
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crossbeam_channel::{Receiver, SendError, Sender, unbounded};

#[cfg(test)]
use super::simulated::STUCK;

/// Counts jobs in flight.
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
    /// The engine runs and may add jobs, so no job starts.
    asking: bool,
    /// The engine has waited for a thread to end.
    yielded: bool,
}

/// The counter of this thread's process.
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

    /// Counts new jobs, before a thread can start them.
    #[inline]
    pub(crate) fn begin(&self, count: usize) {
        #[cfg(test)]
        self.change(|counts| counts.begun += count);
        #[cfg(not(test))]
        let _ = count;
    }

    /// Counts jobs as done or abandoned, after their results were sent.
    #[inline]
    pub(crate) fn end(&self, count: usize) {
        #[cfg(test)]
        self.change(|counts| counts.done += count);
        #[cfg(not(test))]
        let _ = count;
    }

    /// Called by a thread before a job: waits until the engine has added all its jobs.
    #[inline]
    pub(crate) fn wait_for_turn(&self) {
        #[cfg(test)]
        drop(self.wait(|counts| counts.asking));
    }

    /// The engine waits for its threads, usually for their end.
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
        assert!(!waited.timed_out(), "jobs are not done: {counts:?}");
        counts
    }

    /// Sets whether the engine runs.
    pub(super) fn asks(&self, asking: bool) {
        self.change(|counts| counts.asking = asking);
    }

    /// Whether the engine has waited for threads since the last call.
    pub(super) fn take_yielded(&self) -> bool {
        let mut counts = self.counted.counts.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut counts.yielded)
    }

    /// Waits until all jobs are done; returns their number so far.
    pub(super) fn settle(&self) -> usize {
        self.wait(|counts| counts.begun != counts.done).done
    }
}

/// A channel of jobs to a thread of this process.
pub(crate) fn channel<T>() -> (JobSender<T>, JobReceiver<T>) {
    let (sender, receiver) = unbounded();
    let in_flight = InFlightJobs::default();
    (
        JobSender { sender, in_flight: in_flight.clone() },
        JobReceiver { receiver, in_flight, busy: false },
    )
}

/// The engine's end of the channel.
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
    /// Sends a job.
    ///
    /// # Errors
    /// When the thread has ended.
    pub(crate) fn send(&self, job: T) -> Result<(), SendError<T>> {
        self.in_flight.begin(1);
        let sent = self.sender.send(job);
        if sent.is_err() {
            self.in_flight.end(1);
        }
        sent
    }
}

/// The thread's end: an iterator over the jobs, in order, until all senders are dropped. Asking for the next
/// job marks the last one done.
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
        let job = self.receiver.recv().ok()?;
        self.busy = true;
        self.in_flight.wait_for_turn();
        Some(job)
    }
}

impl<T> JobReceiver<T> {
    /// The next job if there is one, without waiting. It marks the last one done.
    pub(crate) fn ready(&mut self) -> Option<T> {
        let job = self.receiver.try_recv().ok()?;
        if std::mem::replace(&mut self.busy, true) {
            self.in_flight.end(1);
        }
        Some(job)
    }
}

impl<T> Drop for JobReceiver<T> {
    fn drop(&mut self) {
        // The remaining jobs are abandoned.
        self.in_flight.end(usize::from(self.busy) + self.receiver.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_count_until_they_are_done() {
        let (ask, asked) = channel();
        let (in_flight, mut asked) = (ask.in_flight.clone(), asked);
        let left = || {
            let counts = in_flight.wait(|_| false);
            counts.begun - counts.done
        };
        (1..=3).for_each(|job| ask.send(job).unwrap());
        assert_eq!((asked.next(), left()), (Some(1), 3));
        assert_eq!((asked.next(), left()), (Some(2), 2));
        // A thread that ends abandons the rest.
        drop(asked);
        assert_eq!((left(), in_flight.settle()), (0, 3));
        assert!(ask.send(4).is_err());
        assert_eq!((left(), in_flight.settle()), (0, 4));
    }
}
