//! How much a batch takes in: what the job can process in about its interval, as the last batches have shown. The rest
//! waits where it is, at the source or at the client, in buffers that are bounded.
//!
//! What counts is throughput: the bytes that a batch has read, by the time since it began or the one before it had
//! run, whichever is later; so batches that overlap are not counted twice. A batch that takes in less than it might
//! says little, since what a batch costs anyway weighs more then: it only corrects an estimate that is too low. While
//! work is left from batches before, the next one gets less: down to half, and if more than an interval's work is left,
//! down to an eighth.
//!
//! Only live sources are limited. Bounded ones are history: what their batches consist of is said by their URLs.

use std::collections::BTreeMap;

use crate::id::BatchSeq;

/// What the first batches may take in, in bytes, before anything is known.
const FIRST: u64 = 4 << 20;
/// The bytes that a batch may always take in, whatever it costs: a slow job is better than one that stands.
const LEAST: u64 = 32 << 10;
/// An estimate grows no faster than this from batch to batch.
const GROWTH: u64 = 4;

/// What a batch was allowed.
#[derive(Debug, Clone, Copy)]
struct Given {
    limit: u64,
    since_ms: u64,
    read: u64,
}

/// How fast the job is.
#[derive(Debug)]
pub(super) struct Rate {
    interval_ms: u64,
    /// No batch takes in more, in bytes: what memory is there for it.
    most: u64,
    /// Bytes per second.
    estimate: Option<u64>,
    /// Batches that have not run.
    given: BTreeMap<BatchSeq, Given>,
    /// When the last batch had run.
    done_ms: u64,
}

impl Rate {
    pub(super) fn new(interval_ms: u64, most: u64) -> Self {
        let most = most.max(LEAST);
        Self { interval_ms, most, estimate: None, given: BTreeMap::new(), done_ms: 0 }
    }

    /// How much the job can process in an interval, in bytes.
    fn target(&self) -> u64 {
        let per_interval = |rate: u64| u128::from(rate) * u128::from(self.interval_ms) / 1000;
        let target = self.estimate.map_or(u128::from(FIRST), per_interval);
        u64::try_from(target).unwrap_or(u64::MAX).clamp(LEAST, self.most)
    }

    /// A batch begins. `left` says which part of each batch that runs has not run yet, in thousandths. Returns how
    /// many bytes it may take in.
    pub(super) fn begins(
        &mut self,
        batch: BatchSeq,
        now_ms: u64,
        left: impl Iterator<Item = (BatchSeq, u64)>,
    ) -> u64 {
        let given = |(batch, part): (BatchSeq, u64)| {
            let limit = self.given.get(&batch)?.limit;
            Some(limit / 1000 * part.min(1000))
        };
        let left = left.filter_map(given).fold(0, u64::saturating_add);
        let target = self.target();
        // How much of a batch is left is known by its tasks only, and they may be few.
        let most_off = if left > target { target / 8 * 7 } else { target / 2 };
        let limit = (target - left.min(most_off)).max(LEAST);
        self.given.insert(batch, Given { limit, since_ms: now_ms, read: 0 });
        limit
    }

    /// A task of a batch has read something.
    pub(super) fn read(&mut self, batch: BatchSeq, bytes: u64) {
        if let Some(given) = self.given.get_mut(&batch) {
            given.read = given.read.saturating_add(bytes);
        }
    }

    /// All tasks of a batch have run.
    pub(super) fn done(&mut self, batch: BatchSeq, now_ms: u64) {
        let before = std::mem::replace(&mut self.done_ms, now_ms);
        let Some(Given { limit, since_ms, read }) = self.given.remove(&batch) else { return };
        // Those before it that are not over never will be.
        self.given = self.given.split_off(&batch);
        if read == 0 {
            return;
        }
        let took_ms = now_ms.saturating_sub(since_ms.max(before)).max(1);
        let measured = read.saturating_mul(1000) / took_ms;
        self.estimate = Some(match self.estimate {
            None => measured,
            Some(known) if measured >= known => {
                let most = known.saturating_mul(GROWTH);
                // A small batch that was fast says more than a mean.
                known.midpoint(measured.min(most)).max(known)
            }
            Some(known) if read < limit / 2 => known,
            Some(known) => known.midpoint(measured),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sched::simulation::Seed;

    const INTERVAL: u64 = 250;
    const IN_FLIGHT: usize = 4;

    /// A job with a rate in bytes per millisecond, and a fixed cost per batch in milliseconds.
    struct Plant {
        rate: Rate,
        per_ms: u64,
        fixed_ms: u64,
        /// What waits at clients, and what comes in a millisecond.
        waiting: u64,
        comes: u64,
        /// When it has done all that it has taken.
        free_at: u64,
        running: Vec<(BatchSeq, u64, u64, u64)>,
        next: u64,
    }

    impl Plant {
        fn new(per_ms: u64, fixed_ms: u64, comes: u64) -> Self {
            let rate = Rate::new(INTERVAL, 1 << 40);
            let (waiting, free_at, running, next) = (0, 0, Vec::new(), 1);
            Self { rate, per_ms, fixed_ms, waiting, comes, free_at, running, next }
        }

        /// Runs to the batch of some number; for each what it took in, and how long it was under way.
        fn run(&mut self, to: u64, seed: &mut Seed) -> Vec<(u64, u64)> {
            let mut done = Vec::new();
            while self.next <= to {
                let now = self.next * INTERVAL;
                self.waiting += self.comes * INTERVAL;
                for (batch, begun, end, bytes) in
                    self.running.extract_if(.., |(_, _, end, _)| *end <= now)
                {
                    self.rate.read(batch, bytes);
                    self.rate.done(batch, end);
                    done.push((bytes, end - begun));
                }
                self.next += 1;
                if self.running.len() >= IN_FLIGHT {
                    continue;
                }
                let left = self.running.iter().map(|(batch, begun, end, _)| {
                    (*batch, (end - now) * 1000 / (end - begun).max(1))
                });
                let batch = BatchSeq(self.next - 1);
                let limit = self.rate.begins(batch, now, left.collect::<Vec<_>>().into_iter());
                let bytes = self.waiting.min(limit);
                self.waiting -= bytes;
                let takes = self.fixed_ms + bytes / self.per_ms;
                let takes = takes * (90 + seed.below(21)) / 100;
                self.free_at = self.free_at.max(now) + takes.max(1);
                self.running.push((batch, now, self.free_at, bytes));
            }
            done
        }
    }

    /// The ninth decile of how long batches were under way, and bytes per millisecond.
    fn summary(done: &[(u64, u64)]) -> (u64, u64) {
        let mut times: Vec<u64> = done.iter().map(|(_, time)| *time).collect();
        times.sort_unstable();
        let bytes: u64 = done.iter().map(|(bytes, _)| bytes).sum();
        (times[times.len() * 9 / 10], bytes / (done.len() as u64 * INTERVAL))
    }

    #[test]
    fn an_overloaded_job_takes_in_what_it_can_process_in_about_an_interval() {
        for (per_ms, fixed_ms) in [(1, 5), (100, 20), (10_000, 1), (200_000, 60)] {
            let mut seed = Seed(per_ms | 1);
            let per_ms = per_ms.max(200);
            let mut plant = Plant::new(per_ms, fixed_ms, per_ms * 3);
            plant.run(20, &mut seed);
            let (p90, speed) = summary(&plant.run(200, &mut seed));
            assert!(p90 <= 2 * INTERVAL, "{per_ms}, {fixed_ms}: {p90}");
            assert!(speed * 10 >= per_ms * 7, "{per_ms}, {fixed_ms}: {speed}");
        }
    }

    #[test]
    fn it_follows_a_job_that_becomes_slower_or_faster() {
        let mut seed = Seed(77);
        let mut plant = Plant::new(10_000, 5, 40_000);
        plant.run(50, &mut seed);
        for per_ms in [2_000, 10_000, 40_000, 8_000, 2_000, 400] {
            plant.per_ms = per_ms;
            plant.run(plant.next + 60, &mut seed);
            let (p90, speed) = summary(&plant.run(plant.next + 100, &mut seed));
            assert!(p90 <= 2 * INTERVAL, "{per_ms}: {p90}");
            assert!(speed * 10 >= per_ms * 7, "{per_ms}: {speed}");
        }
    }

    #[test]
    fn a_job_that_keeps_up_is_not_held_back() {
        let mut seed = Seed(5);
        let mut plant = Plant::new(10_000, 3, 100);
        let done = plant.run(100, &mut seed);
        assert_eq!(plant.waiting, 0);
        // A burst of a second's work is through in little more than that.
        plant.waiting += 10_000_000;
        plant.run(plant.next + 7, &mut seed);
        assert_eq!(plant.waiting, 0, "{:?}", plant.rate);
        assert!(done.iter().all(|(bytes, _)| *bytes == 100 * INTERVAL));
    }

    #[test]
    fn there_is_always_a_little_and_never_more_than_memory_takes() {
        let mut rate = Rate::new(INTERVAL, 1 << 20);
        assert_eq!(rate.begins(BatchSeq(1), 0, std::iter::empty()), 1 << 20);
        rate.read(BatchSeq(1), 1);
        rate.done(BatchSeq(1), 1 << 40);
        assert_eq!(rate.begins(BatchSeq(2), 0, std::iter::empty()), LEAST);
        assert_eq!(rate.begins(BatchSeq(3), 0, [(BatchSeq(2), 1000)].into_iter()), LEAST);
        rate.read(BatchSeq(3), u64::MAX);
        rate.done(BatchSeq(3), 0);
        assert!(rate.given.is_empty());
        assert!(rate.target() <= 1 << 20);
    }
}
