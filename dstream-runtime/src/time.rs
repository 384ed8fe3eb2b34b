//! Batch times: milliseconds since the Unix epoch (or since zero, for a job over history).

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::BatchSeq;

/// The end of a batch's interval, in milliseconds.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct BatchTime(pub u64);

impl fmt::Display for BatchTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.0)
    }
}

/// Turns batch numbers into batch times: batch n ends at zero + n × interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timetable {
    zero: u64,
    interval: u64,
}

impl Timetable {
    /// A timetable from its zero time and interval, both in milliseconds; the interval is at least 1.
    #[must_use]
    pub fn new(zero_ms: u64, interval_ms: u64) -> Self {
        Self { zero: zero_ms, interval: interval_ms.max(1) }
    }

    /// The timetable of a live job started at `now_ms`: its zero time is the last multiple of the interval.
    #[must_use]
    pub fn starting(now_ms: u64, interval_ms: u64) -> Self {
        let interval = interval_ms.max(1);
        Self::new(now_ms / interval * interval, interval)
    }

    /// When batch `seq` ends.
    #[must_use]
    pub fn end(self, seq: BatchSeq) -> BatchTime {
        BatchTime(self.zero.saturating_add(seq.0.saturating_mul(self.interval)))
    }

    /// The batch interval.
    #[must_use]
    pub fn interval(self) -> Duration {
        Duration::from_millis(self.interval)
    }

    /// The zero time in milliseconds.
    #[must_use]
    pub fn zero_ms(self) -> u64 {
        self.zero
    }
}
