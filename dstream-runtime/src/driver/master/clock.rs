//! The only clock of a job: it reads the steady clock and the wall clock for [`JobClock`], which decides what time
//! the job has.

use std::time::{Duration, Instant};

use crate::host;
use crate::sched::JobClock;
use crate::time::BatchTime;

#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    start: Instant,
    job: JobClock,
}

impl Clock {
    /// Of a job that goes on after a batch which ended at `last_ms`; 0 if it begins.
    pub(super) fn start(last_ms: u64) -> Self {
        let last = Duration::from_millis(last_ms);
        Self { start: host::now(), job: JobClock::new(Duration::ZERO, host::wall(), last) }
    }

    /// Time has passed: the time of the job, in milliseconds, and by how much it has jumped to that of the wall
    /// clock, if it has.
    pub(super) fn tick(&mut self) -> (u64, Option<Duration>) {
        let followed = self.job.tick(host::since(self.start), host::wall());
        (self.now_ms(), followed)
    }

    /// As it was when it was last asked.
    pub(super) fn now_ms(self) -> u64 {
        self.job.now().as_millis() as u64
    }

    /// The first instant at which `now_ms` has reached `ms`.
    pub(super) fn instant(self, ms: u64) -> Instant {
        self.start + self.job.steady_at(Duration::from_millis(ms))
    }

    /// How long ago a batch ended.
    pub(super) fn since(self, time: BatchTime) -> Duration {
        let mut job = self.job;
        job.tick(host::since(self.start), host::wall());
        job.now().saturating_sub(Duration::from_millis(time.0))
    }

    /// How far the wall clock is behind the job.
    pub(super) fn lead(self) -> Duration {
        self.job.now().saturating_sub(host::wall())
    }

    pub(super) fn elapsed(self) -> Duration {
        host::since(self.start)
    }
}
