//! Asking a running job to stop.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crossbeam_channel::Sender;

use super::Event;

/// Stops a job gracefully: its sources take in nothing new; what they have received is processed and
/// published; then it ends. Cheap to clone; may be used from any thread, any number of times, before
/// the job runs and after it has ended.
#[derive(Clone, Default)]
pub struct StopHandle(Arc<Inner>);

#[derive(Default)]
struct Inner {
    asked: AtomicBool,
    job: Mutex<Connected>,
}

#[derive(Default)]
struct Connected {
    /// The running job to wake.
    job: Option<Sender<Event>>,
    /// What happened before there was one.
    early: Vec<Event>,
}

impl StopHandle {
    /// A handle to give to [`run`](super::run).
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks the job to stop. Twice is once.
    pub fn stop(&self) {
        if self.0.asked.swap(true, Ordering::SeqCst) {
            return;
        }
        if let Some(job) = &self.connected().job {
            // A job that has ended needs no waking.
            let _ = job.send(Event::Stop);
        }
    }

    /// Tells a master that the process of a worker has ended, and how: the launcher of the process knows at once.
    pub fn worker_ended(&self, worker: &str, why: &str) {
        let ended = Event::Ended { worker: worker.to_owned(), why: why.to_owned() };
        let mut connected = self.connected();
        match &connected.job {
            // A job that has ended misses no worker.
            Some(job) => drop(job.send(ended)),
            None => connected.early.push(ended),
        }
    }

    fn connected(&self) -> MutexGuard<'_, Connected> {
        self.0.job.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it was asked to.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.0.asked.load(Ordering::SeqCst)
    }

    /// Connects it to a job that begins; whether that is to stop at once.
    pub(super) fn connect(&self, job: Sender<Event>) -> bool {
        let mut connected = self.connected();
        // It has just begun to listen.
        std::mem::take(&mut connected.early).into_iter().for_each(|event| drop(job.send(event)));
        connected.job = Some(job);
        self.is_stopped()
    }

    pub(super) fn disconnect(&self) {
        self.connected().job = None;
    }
}

impl std::fmt::Debug for StopHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StopHandle").field("is_stopped", &self.is_stopped()).finish()
    }
}
