//! Percentiles of delays, in constant memory.

use std::time::Duration;

use serde::Serialize;

/// Steps per power of two: values are known to within 1/32.
const STEPS: u64 = 32;
/// Enough for more than a day in microseconds.
const BUCKETS: usize = 33 * STEPS as usize;

/// Counts delays in microseconds: exact below 32, then in 32 steps per power of two.
#[derive(Debug, Clone)]
pub(super) struct Histogram {
    counts: Vec<u64>,
    total: u64,
    max: u64,
}

/// How long batches took to be published after they were due, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Latency {
    /// Half of the batches took no longer.
    pub p50_ms: f64,
    /// Nine in ten took no longer.
    pub p90_ms: f64,
    /// 99 in 100 took no longer.
    pub p99_ms: f64,
    /// The slowest.
    pub max_ms: f64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS], total: 0, max: 0 }
    }
}

impl Histogram {
    pub(super) fn add(&mut self, delay: Duration) {
        let micros = u64::try_from(delay.as_micros()).unwrap_or(u64::MAX);
        self.counts[bucket(micros).min(BUCKETS - 1)] += 1;
        self.total += 1;
        self.max = self.max.max(micros);
    }

    /// None if nothing was counted.
    pub(super) fn latency(&self) -> Option<Latency> {
        let at = |share: f64| {
            let rank = (self.total as f64 * share).ceil() as u64;
            let mut seen = 0;
            let found = self.counts.iter().position(|count| {
                seen += count;
                seen >= rank
            });
            let micros = found.map_or(self.max, highest).min(self.max);
            micros as f64 / 1000.0
        };
        (self.total > 0).then(|| Latency {
            p50_ms: at(0.5),
            p90_ms: at(0.9),
            p99_ms: at(0.99),
            max_ms: self.max as f64 / 1000.0,
        })
    }
}

fn bucket(micros: u64) -> usize {
    let power = (micros / STEPS).checked_ilog2().map_or(0, |log| log + 1);
    let step = if power == 0 { micros } else { (micros >> (power - 1)) - STEPS };
    (u64::from(power) * STEPS + step) as usize
}

/// The highest value of a bucket.
fn highest(bucket: usize) -> u64 {
    let (power, step) = (bucket as u64 / STEPS, bucket as u64 % STEPS);
    if power == 0 { step } else { ((STEPS + step + 1) << (power - 1)) - 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_in_a_bucket_that_ends_at_most_a_32nd_later() {
        for micros in (0..5000).chain((0..34).map(|p| (1u64 << p) + 7)) {
            let end = highest(bucket(micros));
            assert!(end >= micros && end <= micros + micros / 32, "{micros} {end}");
            assert!(bucket(micros) == 0 || highest(bucket(micros) - 1) < micros);
        }
    }

    #[test]
    fn percentiles_of_a_known_distribution() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.latency(), None);
        (1..=1000).for_each(|ms| histogram.add(Duration::from_millis(ms)));
        let latency = histogram.latency().unwrap();
        for (got, want) in
            [(latency.p50_ms, 500.0), (latency.p90_ms, 900.0), (latency.p99_ms, 990.0)]
        {
            assert!((want..=want * 1.04).contains(&got), "{got} {want}");
        }
        assert!((latency.max_ms - 1000.0).abs() < 1e-9);
        histogram.add(Duration::from_secs(1 << 40));
        assert!(histogram.latency().unwrap().max_ms > 1e12);
    }
}
