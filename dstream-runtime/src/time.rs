//! Batch times: milliseconds since the Unix epoch (or since zero, for a job over history).

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::calendar;
use crate::id::BatchSeq;

/// How long a split of an event-timed source holds the watermark back without records, in milliseconds of batch time.
pub const IDLE_MS: u64 = 30_000;

/// The end of a batch's interval, in milliseconds since 1970; of a job over history, since zero.
///
/// Shown as text it is a date in UTC, or a number of milliseconds before the year 2000, where it can only be that of a
/// job over history. What is written for programs takes [`millis`](Self::millis).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct BatchTime(pub u64);

impl BatchTime {
    /// The number of milliseconds since 1970, or since zero in a job over history: what directories of batches are
    /// named by.
    #[must_use]
    pub const fn millis(self) -> u64 {
        self.0
    }
}

impl fmt::Display for BatchTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&calendar::batch(*self))
    }
}

/// Converts batch numbers to batch times: batch n ends n intervals after the zero time.
///
/// Batches have consecutive numbers. Intervals in which nothing can be emitted may have no batch (see
/// `sched::master::gaps`): from some batch on, the zero time is then later by whole intervals. So batch
/// times are always multiples of the interval from the first zero time and never go back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timetable {
    interval: u64,
    /// The zero time of the oldest batches.
    zero: u64,
    /// Later zero times, each with its first batch, ascending.
    later: Vec<(BatchSeq, u64)>,
}

impl Timetable {
    /// Makes a timetable from a zero time and an interval of at least 1, both in milliseconds.
    #[must_use]
    pub fn new(zero_ms: u64, interval_ms: u64) -> Self {
        Self { zero: zero_ms, interval: interval_ms.max(1), later: Vec::new() }
    }

    /// Makes the timetable of a live job started at `now_ms`: its zero time is the last multiple of the
    /// interval.
    #[must_use]
    pub fn starting(now_ms: u64, interval_ms: u64) -> Self {
        let interval = interval_ms.max(1);
        Self::new(now_ms / interval * interval, interval)
    }

    /// The end of batch `seq`.
    #[must_use]
    pub fn end(&self, seq: BatchSeq) -> BatchTime {
        let later = self.later.iter().rev().find(|(first, _)| *first <= seq);
        let zero = later.map_or(self.zero, |(_, zero)| *zero);
        BatchTime(zero.saturating_add(seq.0.saturating_mul(self.interval)))
    }

    /// The batch interval.
    #[must_use]
    pub fn interval(&self) -> Duration {
        Duration::from_millis(self.interval)
    }

    /// The batch interval in milliseconds.
    #[must_use]
    pub fn interval_ms(&self) -> u64 {
        self.interval
    }

    /// The zero time of the newest batches, in milliseconds.
    #[must_use]
    pub fn zero_ms(&self) -> u64 {
        self.later.last().map_or(self.zero, |(_, zero)| *zero)
    }

    /// Sets a later zero time from batch `first` on, which must be the newest. Ignored if the time is
    /// earlier, or not later by whole intervals.
    pub fn shift(&mut self, first: BatchSeq, zero_ms: u64) {
        let newest = self.zero_ms();
        let is_known = self.later.last().is_some_and(|(known, _)| *known > first);
        if is_known || zero_ms <= newest || !(zero_ms - newest).is_multiple_of(self.interval) {
            return;
        }
        self.later.pop_if(|(known, _)| *known == first);
        self.later.push((first, zero_ms));
    }

    /// Drops what is needed only for batches before `oldest`.
    pub fn forget(&mut self, oldest: BatchSeq) {
        let over = self.later.iter().take_while(|(first, _)| *first <= oldest).count();
        if let Some((_, zero)) = self.later.drain(..over).next_back() {
            self.zero = zero;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(timetable: &Timetable, batches: std::ops::Range<u64>) -> Vec<u64> {
        batches.map(|batch| timetable.end(BatchSeq(batch)).0).collect()
    }

    #[test]
    fn times_go_on_by_whole_intervals_after_a_gap() {
        let mut timetable = Timetable::starting(1234, 100);
        assert_eq!(ends(&timetable, 1..4), [1300, 1400, 1500]);
        timetable.shift(BatchSeq(3), 1200 + 5000);
        timetable.shift(BatchSeq(5), 1200 + 6000);
        assert_eq!(ends(&timetable, 1..7), [1300, 1400, 6500, 6600, 7700, 7800]);
        assert_eq!(timetable.zero_ms(), 7200);
        timetable.forget(BatchSeq(4));
        assert_eq!(ends(&timetable, 3..7), [6500, 6600, 7700, 7800]);
        timetable.forget(BatchSeq(9));
        assert_eq!((timetable.later.len(), timetable.end(BatchSeq(6)).0), (0, 7800));
    }

    #[test]
    fn a_gap_before_the_same_batch_replaces_the_one_before_and_none_goes_back() {
        let mut timetable = Timetable::new(0, 100);
        timetable.shift(BatchSeq(3), 1000);
        timetable.shift(BatchSeq(3), 2000);
        assert_eq!(ends(&timetable, 2..4), [200, 2300]);
        for (first, zero) in [(3, 1000), (2, 3000), (4, 2050), (4, 2000)] {
            timetable.shift(BatchSeq(first), zero);
            assert_eq!(ends(&timetable, 2..5), [200, 2300, 2400], "{first}, {zero}");
        }
    }
}
