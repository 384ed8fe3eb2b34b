//! The effect of a fault: a pure function of when each batch was published.
//!
//! Invariant: there is an outcome only if every batch from first to last is accounted for.

use std::collections::BTreeMap;

use dstream_bench::runs::Spread;
use serde::Serialize;

/// A published batch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Shown {
    pub(super) batch: u64,
    /// The end of its interval, in milliseconds since the Unix epoch.
    pub(super) end_ms: f64,
    /// The delay until its results were visible.
    pub(super) delay_ms: f64,
}

impl Shown {
    pub(super) fn published_ms(self) -> f64 {
        self.end_ms + self.delay_ms
    }
}

/// The batches of a run.
#[derive(Debug, Default, Clone)]
pub(super) struct Batches {
    batches: BTreeMap<u64, Shown>,
}

impl Batches {
    /// Adds a published batch. A batch published again keeps its first time.
    pub(super) fn add(&mut self, shown: Shown) {
        self.batches.entry(shown.batch).or_insert(shown);
    }

    /// The master died, and may have published batches before `next` without logging them. Those count as
    /// published when it died.
    pub(super) fn settle(&mut self, next: u64, died_ms: f64) {
        let Some(last) = self.batches.range(..next).next_back().map(|(_, shown)| *shown) else {
            return;
        };
        let interval = self.interval_ms();
        for batch in last.batch + 1..next {
            let end_ms = last.end_ms + (batch - last.batch) as f64 * interval;
            let delay_ms = (died_ms - end_ms).max(0.0);
            self.add(Shown { batch, end_ms, delay_ms });
        }
    }

    pub(super) fn last(&self) -> Option<Shown> {
        self.batches.values().next_back().copied()
    }

    /// The batch interval.
    pub(super) fn interval_ms(&self) -> f64 {
        let mut ends = self.batches.values().map(|shown| (shown.batch, shown.end_ms));
        let both = ends.clone().next().zip(ends.next_back());
        both.map_or(f64::NAN, |((first, from), (last, to))| (to - from) / (last - first) as f64)
    }

    /// The outcome of a kill; the first `warm` batches do not count.
    pub(super) fn outcome(&self, warm: u64, killed_ms: f64) -> Result<Outcome, String> {
        let batches: Vec<Shown> = self.batches.values().copied().collect();
        if let Some(pair) = batches.windows(2).find(|pair| pair[1].batch != pair[0].batch + 1) {
            return Err(format!(
                "batch {} was never published, and batch {} was",
                pair[0].batch + 1,
                pair[1].batch
            ));
        }
        let is_before = |shown: &&Shown| shown.published_ms() <= killed_ms;
        let before = batches.iter().filter(is_before).filter(|shown| shown.batch > warm);
        let normal = Spread::of(before.map(|shown| shown.delay_ms).collect());
        let after = batches.iter().filter(|shown| !is_before(shown));
        let worst = after.clone().map(|shown| shown.delay_ms).fold(f64::NAN, f64::max);
        let again = after.map(|shown| shown.published_ms()).fold(f64::NAN, f64::min);
        if worst.is_nan() || normal.median.is_nan() {
            return Err("no batch was published before the kill, or none after it".to_owned());
        }
        Ok(Outcome {
            killed_ms,
            normal,
            worst_ms: worst,
            excess_ms: worst - normal.median,
            again_ms: again - killed_ms,
            batches,
        })
    }
}

/// The outcome of a kill.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Outcome {
    /// When, in milliseconds since the Unix epoch.
    pub(super) killed_ms: f64,
    /// Delay of batches before it.
    pub(super) normal: Spread,
    /// The longest delay after it, and its excess over the median before.
    pub(super) worst_ms: f64,
    pub(super) excess_ms: f64,
    /// From the kill to the next results.
    pub(super) again_ms: f64,
    pub(super) batches: Vec<Shown>,
}

impl Outcome {
    /// Time from the end of a batch to the kill.
    pub(super) fn phase_ms(&self, interval_ms: f64) -> f64 {
        let first = self.batches.first().map_or(0.0, |shown| shown.end_ms);
        (self.killed_ms - first).rem_euclid(interval_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(batch: u64, delay_ms: f64) -> Shown {
        Shown { batch, end_ms: batch as f64 * 1000.0, delay_ms }
    }

    fn seen(delays: &[(u64, f64)]) -> Batches {
        let mut seen = Batches::default();
        delays.iter().for_each(|(batch, delay)| seen.add(shown(*batch, *delay)));
        seen
    }

    #[test]
    fn the_worst_batch_after_the_kill_is_compared_with_the_median_before() {
        let seen = seen(&[(1, 900.0), (2, 90.0), (3, 110.0), (4, 100.0), (5, 750.0), (6, 200.0)]);
        let outcome = seen.outcome(1, 5_200.0).unwrap();
        assert_eq!((outcome.normal.median, outcome.worst_ms), (100.0, 750.0));
        assert_eq!((outcome.excess_ms, outcome.again_ms), (650.0, 550.0));
        assert_eq!(outcome.phase_ms(1000.0), 200.0);
    }

    #[test]
    fn a_batch_that_is_never_published_is_an_error() {
        let error = seen(&[(1, 90.0), (2, 90.0), (4, 90.0)]).outcome(0, 2_500.0).unwrap_err();
        assert!(error.contains("batch 3"), "{error}");
        assert!(seen(&[(1, 90.0), (2, 90.0)]).outcome(0, 2_500.0).is_err(), "nothing after it");
    }

    #[test]
    fn repeated_batches_count_once_and_unlogged_ones_at_the_kill() {
        let mut seen = seen(&[(1, 90.0), (2, 90.0), (2, 1_500.0), (4, 100.0)]);
        seen.settle(4, 3_120.0);
        let outcome = seen.outcome(0, 3_500.0).unwrap();
        let delays: Vec<f64> = outcome.batches.iter().map(|shown| shown.delay_ms).collect();
        assert_eq!(delays, [90.0, 90.0, 120.0, 100.0]);
        assert_eq!(seen.last().map(|shown| shown.batch), Some(4));
    }
}
