//! The only clock of a job: milliseconds of the wall clock at the start, and from there on a clock
//! that never goes back.

use std::time::{Duration, Instant};

use crate::host;
use crate::time::BatchTime;

#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    start: Instant,
    /// Since the Unix epoch.
    wall: Duration,
}

impl Clock {
    pub(super) fn start() -> Self {
        Self { start: host::now(), wall: host::wall() }
    }

    fn now(self) -> Duration {
        self.wall + host::since(self.start)
    }

    pub(super) fn now_ms(self) -> u64 {
        self.now().as_millis() as u64
    }

    /// The first instant at which `now_ms` has reached `ms`.
    pub(super) fn instant(self, ms: u64) -> Instant {
        self.start + Duration::from_millis(ms).saturating_sub(self.wall)
    }

    /// How long ago a batch ended.
    pub(super) fn since(self, time: BatchTime) -> Duration {
        self.now().saturating_sub(Duration::from_millis(time.0))
    }

    pub(super) fn elapsed(self) -> Duration {
        host::since(self.start)
    }
}
