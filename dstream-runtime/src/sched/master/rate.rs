//! How much a batch takes in: what the job can process in about its interval, as the last batches have shown. The rest
//! waits where it is, at the source or at the client, in buffers that are bounded.
//!
//! A batch costs a fixed time and a time per byte ([`Cost`]). Both are learned from *spans*: times in which batches ran,
//! with what was read in them. Batches overlap, and what one took may have been another's work; over a span of about an
//! interval that evens out. The two parts are told apart by a fit to the last spans, the newest of which count most;
//! where batches are of one size, the fixed part stays what it was, and after a while there is a *trial*: larger batches
//! for one span, which tell the parts apart. A limit that only followed the throughput would fall without end where the
//! fixed time is longer than the interval; here a batch always gets half an interval beside it.
//!
//! While work is left from batches before, the next one gets less, down to an eighth. A job that begins, or was idle, is
//! not trusted with much: it gets [`FIRST`], and from batch to batch at most [`GROWTH`] times what it has processed. One
//! that has become slower is believed at once, one that has become faster by and by.
//!
//! Only live sources are limited. Bounded ones are history: what their batches consist of is said by their URLs.

use std::collections::BTreeMap;

use crate::guards::{Guard, left_out};
use crate::id::{BatchSeq, SourceId};

/// What a job is taken to process as long as nothing is known of it, in bytes per second.
const FIRST: u64 = 256 << 10;
/// The bytes that a batch may always take in, whatever they cost: a slow job is better than one that stands.
const LEAST: u64 = 1 << 10;
/// A batch gets no more than this many times what one of the last batches has read.
const GROWTH: u64 = 4;
/// And no more than this many times the mean of the last batches if these took half an interval or more.
const STEP: f64 = 1.5;
/// The part of an interval that is to be filled: what is left lets a job that is late catch up.
const FILLED: f64 = 0.9;
/// What the spans before the newest count, each with the ones before it.
const MEMORY: f64 = 0.7;
/// The sizes of batches must vary by this part of their mean for a fit of both parts of the cost.
const VARIES: f64 = 0.15;
/// After this many spans in a row whose batches were of one size there is a trial, if batches take half an interval or
/// more. It doubles each time that the fixed part turns out to be small, up to the most.
const ALIKE: u32 = 8;
const MOST_ALIKE: u32 = 256;
/// A span that took this many times as long as was expected is the first of another time.
const SLOWER: f64 = 2.0;
/// So much work may be under way when a batch has begun, in eighths of what fits into an interval.
const UNDER_WAY: u64 = 10;
/// After this many further batches, one that has not run is forgotten: it never will.
const FORGOTTEN: u64 = 256;

/// What a batch was allowed.
#[derive(Debug, Clone, Copy)]
struct Given {
    limit: u64,
    read: u64,
}

/// What batches cost: a fixed time and a time per byte, in milliseconds.
///
/// A least-squares line through the means of spans, which count [`MEMORY`] to the power of their age.
#[derive(Debug, Clone, Copy, Default)]
struct Cost {
    fixed: f64,
    per_byte: f64,
    /// The means that the line goes through: bytes, and milliseconds.
    mean: f64,
    time: f64,
    /// Sums over the spans: of their weights, bytes, times, squared bytes, and bytes by times.
    sums: [f64; 5],
    /// Spans in a row whose batches were of one size, and how many more than [`ALIKE`] there are before a trial.
    alike: u32,
    rest: u32,
}

impl Cost {
    fn of(&self, bytes: f64) -> f64 {
        self.fixed + self.per_byte * bytes
    }

    /// Adds a span: the mean size of its batches in bytes, at least 1, and their mean time in milliseconds.
    fn learn(&mut self, bytes: f64, took: f64, interval: f64) {
        // A millisecond is as good as clocks are.
        if self.sums[0] > 0.0 && took > self.of(bytes) * SLOWER + 1.0 {
            (self.sums, self.rest) = ([0.0; 5], 0);
        }
        let new = [1.0, bytes, took, bytes * bytes, bytes * took];
        for (sum, new) in self.sums.iter_mut().zip(new) {
            *sum = *sum * MEMORY + new;
        }
        let [weight, of_bytes, of_times, of_squares, of_products] = self.sums;
        let (mean, time) = (of_bytes / weight, of_times / weight);
        (self.mean, self.time) = (mean, time);
        let variance = of_squares / weight - mean * mean;
        let covariance = of_products / weight - mean * time;
        // The time per byte is never zero: even where it does not show, more is not free.
        let most_fixed = time * 0.9;
        let varies = variance > (mean * VARIES).powi(2);
        self.fixed = if varies {
            (time - covariance / variance * mean).clamp(0.0, most_fixed)
        } else {
            self.fixed.min(most_fixed)
        };
        self.per_byte = (time - self.fixed) / mean;
        if self.tries() {
            let is_small = self.useful(interval) > interval / 2.0;
            self.rest = if is_small { (2 * self.rest + ALIKE).min(MOST_ALIKE) } else { 0 };
        }
        self.alike = if varies || self.tries() { 0 } else { self.alike + 1 };
    }

    /// The next span is a trial.
    fn tries(&self) -> bool {
        self.alike >= ALIKE + self.rest
    }

    /// What is left of an interval for bytes, in milliseconds.
    fn useful(&self, interval: f64) -> f64 {
        (interval * FILLED - self.fixed).max(interval / 2.0)
    }

    /// How many bytes fill an interval. Where they did nearly, the line says little of batches that are much larger.
    fn bytes_in(&self, interval: f64) -> f64 {
        let most = if 2.0 * self.time > interval { self.mean * STEP } else { f64::INFINITY };
        if self.tries() && most.is_finite() {
            return most;
        }
        (self.useful(interval) / self.per_byte).min(most)
    }

    /// Whether a batch is as large as it should be whatever is under way: if it takes more than an interval, as then
    /// others always are, however small it is, and in a trial.
    fn exceeds(&self, interval: f64) -> bool {
        self.fixed + self.useful(interval) > interval || self.tries()
    }
}

/// A time in which batches ran.
#[derive(Debug, Clone, Copy, Default)]
struct Span {
    /// How long so far, in milliseconds, up to the last time that a batch had run.
    took_ms: u64,
    /// What was read, in bytes.
    read: u64,
    /// How many batches have run.
    batches: u64,
}

/// How fast the job is.
#[derive(Debug)]
pub(super) struct Rate {
    interval_ms: u64,
    /// No batch takes in more, in bytes: what memory is there for it.
    most: u64,
    cost: Option<Cost>,
    /// The most that one of the last batches has read, in bytes; it fades.
    largest: u64,
    /// Per source, what batches have read of it, in bytes; it fades.
    brought: Vec<u64>,
    /// Batches that have not run.
    given: BTreeMap<BatchSeq, Given>,
    span: Span,
    /// Since when batches have been running, or one had run while others were.
    since_ms: u64,
}

impl Rate {
    /// Of a job with this number of sources.
    pub(super) fn new(interval_ms: u64, most: u64, sources: usize) -> Self {
        Self {
            interval_ms: interval_ms.max(1),
            most: most.max(LEAST),
            cost: None,
            largest: 0,
            brought: vec![0; sources],
            given: BTreeMap::new(),
            span: Span::default(),
            since_ms: 0,
        }
    }

    /// How much the job can process in an interval, in bytes.
    fn target(&self) -> u64 {
        let first = FIRST.saturating_mul(self.interval_ms) / 1000;
        let target = match &self.cost {
            None => first,
            Some(cost) => {
                let most = self.largest.saturating_mul(GROWTH).max(first);
                // A number that is too large becomes the largest.
                (cost.bytes_in(self.interval_ms as f64) as u64).min(most)
            }
        };
        target.clamp(LEAST, self.most)
    }

    /// A batch begins. `left` says which part of each batch that runs has not run yet, in thousandths. Returns how
    /// many bytes it may take in.
    pub(super) fn begins(
        &mut self,
        batch: BatchSeq,
        now_ms: u64,
        left: impl Iterator<Item = (BatchSeq, u64)>,
    ) -> u64 {
        let of = |(batch, part): (BatchSeq, u64)| {
            let Given { limit, read } = self.given.get(&batch)?;
            // How much of a batch is left is known by its tasks only, and they may be few.
            Some((limit.saturating_mul(part.min(1000)) / 1000).min(limit.saturating_sub(*read)))
        };
        let left = left.filter_map(of).fold(0, u64::saturating_add);
        let target = self.target();
        let room = (target / 8).saturating_mul(UNDER_WAY).saturating_sub(left);
        let limit = match self.cost {
            Some(cost) if cost.exceeds(self.interval_ms as f64) => target,
            _ => room.clamp(target / 8, target).max(LEAST),
        };
        let limit = if left_out(Guard::BatchFitsInterval) { u64::MAX } else { limit };
        if self.given.is_empty() {
            self.since_ms = now_ms;
        }
        self.given.insert(batch, Given { limit, read: 0 });
        limit
    }

    /// What a live source may bring of all that a batch may take in, in bytes: a quarter is divided evenly, the rest by
    /// what they have brought.
    pub(super) fn share(&self, source: SourceId, live: &[SourceId], limit: u64) -> u64 {
        let of = |source: &SourceId| self.brought.get(source.index()).copied().unwrap_or(0);
        let all: u64 = live.iter().map(of).fold(0, u64::saturating_add);
        let even = limit / live.len().max(1) as u64;
        if all == 0 || live.len() < 2 {
            return even;
        }
        let by_size = u128::from(limit) * u128::from(of(&source)) / u128::from(all);
        even / 4 + u64::try_from(by_size).unwrap_or(u64::MAX) / 4 * 3
    }

    /// A task of a batch has read something of a live source.
    pub(super) fn read(&mut self, batch: BatchSeq, source: SourceId, bytes: u64) {
        if let Some(given) = self.given.get_mut(&batch) {
            given.read = given.read.saturating_add(bytes);
            self.span.read = self.span.read.saturating_add(bytes);
        }
        if let Some(brought) = self.brought.get_mut(source.index()) {
            *brought = brought.saturating_add(bytes);
        }
    }

    /// All tasks of a batch have run.
    pub(super) fn done(&mut self, batch: BatchSeq, now_ms: u64) {
        let Some(Given { read, .. }) = self.given.remove(&batch) else { return };
        self.given = self.given.split_off(&BatchSeq(batch.0.saturating_sub(FORGOTTEN)));
        self.brought.iter_mut().for_each(|brought| *brought -= *brought / 8);
        let span = &mut self.span;
        span.took_ms += now_ms.saturating_sub(self.since_ms);
        span.batches += 1;
        self.since_ms = now_ms;
        // Either it is long enough, or all that was to be done is done, and it was not little.
        let is_long = 2 * span.took_ms >= self.interval_ms;
        if !is_long && (!self.given.is_empty() || span.read < self.largest / 2) {
            return;
        }
        let Span { took_ms, read: all, batches } = std::mem::take(span);
        self.largest = (self.largest - self.largest / 32).max(read);
        // What takes in little says little of what much costs.
        if all > 0 && all / batches >= self.largest / 16 {
            let each = |sum: u64| sum.max(1) as f64 / batches as f64;
            let interval = self.interval_ms as f64;
            self.cost.get_or_insert_default().learn(each(all), each(took_ms), interval);
        }
    }

    /// A batch that had begun does not exist any more: nothing came for it.
    pub(super) fn dropped(&mut self, batch: BatchSeq) {
        self.given.remove(&batch);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sched::simulation::Seed;

    const IN_FLIGHT: usize = 4;
    const SOURCE: SourceId = SourceId(0);

    /// A job with a rate in bytes per millisecond, and a fixed cost per batch in milliseconds.
    struct Plant {
        rate: Rate,
        interval: u64,
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
        fn new(interval: u64, per_ms: u64, fixed_ms: u64, comes: u64) -> Self {
            let rate = Rate::new(interval, 1 << 40, 1);
            let (waiting, free_at, running, next) = (0, 0, Vec::new(), 1);
            Self { rate, interval, per_ms, fixed_ms, waiting, comes, free_at, running, next }
        }

        /// Runs for a number of intervals. Returns, per batch that begins, its bytes and how long it is under way.
        fn run(&mut self, intervals: u64, seed: &mut Seed) -> Vec<(u64, u64)> {
            let mut begun = Vec::new();
            for _ in 0..intervals {
                let now = self.next * self.interval;
                self.waiting += self.comes * self.interval;
                for (batch, _, end, bytes) in
                    self.running.extract_if(.., |(_, _, end, _)| *end <= now)
                {
                    self.rate.read(batch, SOURCE, bytes);
                    self.rate.done(batch, end);
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
                begun.push((bytes, self.free_at - now));
            }
            begun
        }
    }

    /// The ninth decile of how long batches are under way, in milliseconds, and how many bytes they have.
    fn summary(begun: &[(u64, u64)]) -> (u64, u64) {
        let mut times: Vec<u64> = begun.iter().map(|(_, time)| *time).collect();
        times.sort_unstable();
        (times[times.len() * 9 / 10], begun.iter().map(|(bytes, _)| bytes).sum())
    }

    /// Checks that batches of an overloaded job take about an interval, and that the job does what it can.
    #[track_caller]
    fn assert_fits(plant: &mut Plant, seed: &mut Seed, intervals: u64) {
        let Plant { interval, per_ms, fixed_ms, .. } = *plant;
        let (p90, bytes) = summary(&plant.run(intervals, seed));
        let case = format!("{interval} ms, {per_ms}, {fixed_ms}: {p90} ms, {:?}", plant.rate.cost);
        // Half an interval beside the fixed time, if that is long: then there are always others before it.
        let useful = interval.saturating_sub(fixed_ms).max(interval / 2);
        let takes = fixed_ms + useful;
        let is_full = fixed_ms * 5 >= interval * 2;
        let longest = if is_full { (IN_FLIGHT as u64 + 1) * takes } else { 2 * takes };
        assert!(p90 <= longest + longest / 4, "{case}");
        let most = intervals * interval * per_ms * useful / takes;
        // Where the fixed time is longer than the interval, its noise is as large as what bytes cost.
        let part = if fixed_ms > interval { 6 } else { 7 };
        assert!(bytes * 10 >= most * part, "{case}, {bytes} of {most}");
    }

    #[test]
    fn an_overloaded_job_takes_in_what_it_can_process_in_about_an_interval() {
        for interval in [10, 50, 250, 1000] {
            for per_ms in [200, 1000, 10_000, 200_000] {
                // Up to twice the interval: a loaded machine, and short batches.
                let all = [0, 1, 5, 8, 10, 20, 40, 60, 100];
                for fixed_ms in all.into_iter().filter(|ms| *ms <= 2 * interval) {
                    let mut seed = Seed(per_ms | 1);
                    let mut plant = Plant::new(interval, per_ms, fixed_ms, per_ms * 3);
                    // It begins with a part of what it could do, and what bytes cost shows by and by.
                    plant.run(if fixed_ms * 3 > interval * 2 { 600 } else { 20 }, &mut seed);
                    assert_fits(&mut plant, &mut seed, 200);
                }
            }
        }
    }

    #[test]
    fn a_job_that_begins_settles_within_a_few_batches() {
        for interval in [10, 50, 250, 1000] {
            for per_ms in [300, 1000, 10_000, 100_000] {
                let mut seed = Seed(per_ms | 1);
                let mut plant = Plant::new(interval, per_ms, interval / 20, per_ms * 3);
                let begun = plant.run(12, &mut seed);
                let longest = begun.iter().map(|(_, time)| *time).max();
                assert!(longest < Some(4 * interval), "{interval} ms, {per_ms}: {begun:?}");
                let (_, bytes) = summary(&plant.run(4, &mut seed));
                let can = 4 * interval * per_ms;
                assert!(bytes * 10 >= can * 6, "{interval} ms, {per_ms}: {bytes} of {can}");
            }
        }
    }

    #[test]
    fn it_follows_a_job_that_becomes_slower_or_faster() {
        for interval in [10, 50, 250, 1000] {
            let mut seed = Seed(77 + interval);
            let mut plant = Plant::new(interval, 10_000, interval / 50, 40_000);
            plant.run(50, &mut seed);
            for per_ms in [2_000, 10_000, 40_000, 8_000, 2_000, 400, 40_000] {
                plant.per_ms = per_ms;
                // What is in flight was cut for another speed.
                let slower = plant.free_at.saturating_sub(plant.next * interval) / interval;
                plant.run(8 * IN_FLIGHT as u64 + slower, &mut seed);
                assert_fits(&mut plant, &mut seed, 100);
            }
        }
    }

    #[test]
    fn a_job_that_keeps_up_is_not_held_back() {
        for interval in [10, 50, 250, 1000] {
            let mut seed = Seed(5);
            let mut plant = Plant::new(interval, 10_000, interval / 80, 100);
            let begun = plant.run(100, &mut seed);
            assert_eq!(plant.waiting, 0);
            assert!(begun.iter().all(|(bytes, _)| *bytes == 100 * interval));
            // A burst of four intervals' work is through in little more than that.
            plant.waiting += 40_000 * interval;
            plant.run(11, &mut seed);
            assert_eq!(plant.waiting, 0, "{interval} ms: {:?}", plant.rate);
        }
    }

    #[test]
    fn there_is_always_a_little_and_never_more_than_memory_takes() {
        let mut rate = Rate::new(250, 1 << 14, 1);
        let first = rate.begins(BatchSeq(1), 0, std::iter::empty());
        assert_eq!(first, 1 << 14);
        rate.read(BatchSeq(1), SOURCE, first);
        rate.done(BatchSeq(1), 1 << 40);
        assert_eq!(rate.begins(BatchSeq(2), 1 << 40, std::iter::empty()), LEAST);
        assert_eq!(rate.begins(BatchSeq(3), 1 << 40, [(BatchSeq(2), 1000)].into_iter()), LEAST);
        rate.read(BatchSeq(3), SOURCE, u64::MAX);
        rate.done(BatchSeq(3), 0);
        assert!(rate.target() <= 1 << 14);
        // Those that are given up are forgotten some time.
        rate.begins(BatchSeq(1 << 20), 0, std::iter::empty());
        rate.done(BatchSeq(1 << 20), 1);
        assert!(rate.given.is_empty());
    }

    #[test]
    fn the_source_that_brings_much_gets_the_most() {
        let mut rate = Rate::new(250, 1 << 30, 3);
        let live = [SourceId(0), SourceId(2)];
        let share = |rate: &Rate, source| rate.share(SourceId(source), &live, 1 << 20);
        assert_eq!((share(&rate, 0), share(&rate, 2)), (1 << 19, 1 << 19));
        for batch in 1..40 {
            rate.begins(BatchSeq(batch), 250 * batch, std::iter::empty());
            rate.read(BatchSeq(batch), SourceId(2), 10_000);
            rate.done(BatchSeq(batch), 250 * batch + 20);
        }
        assert!(share(&rate, 2) > (1 << 20) / 5 * 4);
        // One that was silent may begin.
        assert!(share(&rate, 0) > (1 << 20) / 10);
        assert!(share(&rate, 0) + share(&rate, 2) <= 1 << 20);
        assert_eq!(rate.share(SourceId(0), &[SourceId(0)], 77), 77);
    }
}
