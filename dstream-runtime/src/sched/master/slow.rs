//! Workers that are slow again and again: they read less and lose partitions, and get both back when they are as fast
//! as the others again.
//!
//! Judged batch by batch from how long its tasks took for what they had to do, and from how long its engine had no
//! processor. What a worker reads follows at once, as
//! that costs nothing. What it owns follows within a few batches: some that were slow, with no more that were not while
//! it read all its share, are enough to take from a worker, and to take more when it has become slower still.
//!
//! Neither flaps: there is a gap between what is slow and what is well, a worker gets back what it lost step by step, so
//! that it is judged by a small share first, and one that turns out to be slow again waits longer before the next step
//! each time.

use std::collections::BTreeMap;

use crate::guards::{Guard, left_out};
use crate::id::{BatchSeq, WorkerId};
use crate::sched::stragglers::{FLOOR_MS, Factor, SLOW, UNDECIDED};
pub(super) use crate::shares::FULL;

/// As many times as long takes one that lost a little again and again.
const HINTED: u32 = 2500;
/// Up to this multiple of the median, in thousandths, a worker is well.
const WELL: u32 = 1250;
// What is undecided is neither.
const _: () = assert!(WELL < UNDECIDED && UNDECIDED < SLOW);
/// Batches that must agree before a change. Slow ones need not be in a row: a starved worker may just have been given a
/// processor, or have had little to do.
const ROW: u32 = 3;
/// A worker that had hardly anything to do in this many batches in a row is judged by them all the same.
const LIGHT_ROW: u32 = 9;
/// Batches between a change and the next step back.
const REST: u64 = 10;
/// The longest that this rest becomes after relapses, in batches.
const LONGEST_REST: u64 = 640;
/// What was taken is given back in steps of this factor.
const STEP: u32 = 2;
/// From this weight on all is given back.
const NEARLY: u32 = 700;

/// What is known of a worker.
#[derive(Debug, Clone, Copy)]
struct Record {
    /// What it may own and read in proportion to the others.
    weight: u32,
    /// It was slow in one of the last batches that say something of it: its factor there. It reads less for that.
    was_slow: Option<u32>,
    /// Slow batches since the last change, less those in which it was not slow and read all its share.
    slow: u32,
    /// About its mean factor in the last of those in which it was.
    factor: u32,
    /// Batches in a row in which it was well, and in which it was not slow.
    well: u32,
    calm: u32,
    /// Batches in a row in which it had hardly anything to do.
    light: u32,
    /// What it lost in batches in which that was little, in milliseconds; half of it after one in which it lost nothing.
    hints_ms: u32,
    /// When its weight was changed, and how long it stays so at least.
    changed: Option<BatchSeq>,
    rest: u64,
    /// The last change was a step back.
    was_raised: bool,
}

impl Record {
    const NEW: Self = Self {
        weight: FULL,
        was_slow: None,
        slow: 0,
        factor: 0,
        well: 0,
        calm: 0,
        light: 0,
        hints_ms: 0,
        changed: None,
        rest: REST,
        was_raised: false,
    };

    /// A batch says something of it.
    fn add(&mut self, Factor { thousandths, is_least, is_light, hint_ms }: Factor) {
        self.hints_ms = self.hints_ms.saturating_add(hint_ms);
        let is_hinted = hint_ms > 0 && u64::from(self.hints_ms) >= FLOOR_MS;
        if thousandths >= SLOW || is_hinted {
            // How slow it is a little does not say.
            let factor = if thousandths >= SLOW { thousandths } else { HINTED };
            self.was_slow = Some(factor);
            let mean = (2 * u64::from(self.factor) + u64::from(factor)) / 3;
            let is_first = self.slow == 0;
            self.factor = if is_first { factor } else { mean.min(u64::from(u32::MAX)) as u32 };
            (self.slow, self.well, self.calm) = ((self.slow + 1).min(ROW), 0, 0);
            (self.light, self.hints_ms) = (0, 0);
        } else if hint_ms == 0 {
            self.hints_ms = if is_least { self.hints_ms } else { self.hints_ms / 2 };
            self.light = if is_light { self.light + 1 } else { 0 };
            if !is_least && (!is_light || self.light >= LIGHT_ROW) {
                self.is_calm(thousandths <= WELL, is_light);
            }
        }
    }

    /// It was not slow in a batch. While it reads less, that does not say that it would not be slow with more.
    fn is_calm(&mut self, is_well: bool, is_light: bool) {
        self.well = if is_well { self.well + 1 } else { 0 };
        self.calm += 1;
        match self.was_slow {
            None => self.slow = self.slow.saturating_sub(1),
            Some(_) if is_light || self.calm >= ROW => self.was_slow = None,
            Some(_) => {}
        }
    }

    /// What it reads in proportion to the others.
    fn reads(&self) -> u32 {
        self.was_slow.map_or(self.weight, |factor| self.weight.min(weight_of(factor)))
    }

    /// Its new weight, if it is to change.
    fn change(&mut self, batch: BatchSeq) -> Option<u32> {
        let since = self.changed.map_or(u64::MAX, |changed| batch.0.saturating_sub(changed.0));
        let weight = if self.slow >= ROW {
            let weight = weight_of(self.factor);
            // By the same share, or nearly, nothing is gained.
            (u64::from(weight) * 4 <= u64::from(self.weight) * 3).then_some(weight)?
        } else if self.well >= ROW && self.weight < FULL && since >= self.rest {
            match self.weight.saturating_mul(STEP) {
                more if more >= NEARLY => FULL,
                more => more,
            }
        } else {
            return None;
        };
        let is_raised = weight > self.weight;
        if !is_raised {
            let again = self.was_raised && since <= 4 * self.rest;
            self.rest = if again { (2 * self.rest).min(LONGEST_REST) } else { REST };
        }
        let (was_slow, rest) = (self.was_slow, self.rest);
        let changed = Some(batch);
        *self = Self { weight, was_slow, changed, rest, was_raised: is_raised, ..Self::NEW };
        Some(weight)
    }
}

/// The weight of a worker by its time as a multiple of the others', in thousandths.
fn weight_of(factor: u32) -> u32 {
    (FULL * 1000 / factor.max(1)).clamp(1, FULL)
}

/// Which weights a batch has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Changes {
    /// What some worker may own.
    pub(super) owns: bool,
    /// What some worker reads.
    pub(super) reads: bool,
}

/// How slow workers are.
#[derive(Debug, Default)]
pub(super) struct Slow {
    records: BTreeMap<WorkerId, Record>,
    /// Workers whose changed weight has not been reported yet.
    unsaid: BTreeMap<WorkerId, u32>,
}

impl Slow {
    /// What a worker may own in proportion to the others.
    pub(super) fn weight(&self, worker: WorkerId) -> u32 {
        self.records.get(&worker).map_or(FULL, |record| record.weight)
    }

    /// What a worker reads in proportion to the others.
    pub(super) fn reads(&self, worker: WorkerId) -> u32 {
        let record = self.records.get(&worker).filter(|_| !left_out(Guard::SlowReadsLess));
        record.map_or(FULL, Record::reads)
    }

    /// The same of all workers that read less than others.
    pub(super) fn readers(&self) -> Vec<(WorkerId, u32)> {
        let all = self.records.keys().map(|worker| (*worker, self.reads(*worker)));
        all.filter(|(_, weight)| *weight < FULL).collect()
    }

    /// By what factor a worker that loses partitions was slower than the others, in thousandths.
    pub(super) fn factor(&self, worker: WorkerId) -> Option<u32> {
        let weight = self.weight(worker);
        (weight < FULL).then(|| FULL * 1000 / weight)
    }

    /// Whether a worker was slow in the last batch that says something of it.
    pub(super) fn was_slow(&self, worker: WorkerId) -> bool {
        self.records.get(&worker).is_some_and(|record| record.was_slow.is_some())
    }

    /// A batch has run: how many times as long as the median each worker took.
    pub(super) fn judge(
        &mut self,
        batch: BatchSeq,
        factors: &BTreeMap<WorkerId, Factor>,
    ) -> Changes {
        let mut changes = Changes::default();
        for worker in factors.keys() {
            self.records.entry(*worker).or_insert(Record::NEW);
        }
        for (worker, record) in &mut self.records {
            let before = record.reads();
            // One that owns nothing gets something back after a while, and is judged by that.
            record.add(factors.get(worker).copied().unwrap_or(Factor::IDLE));
            if let Some(weight) = record.change(batch) {
                self.unsaid.insert(*worker, FULL * 1000 / weight);
                changes.owns = true;
            }
            changes.reads |= record.reads() != before;
        }
        changes
    }

    /// Forgets workers that are gone.
    pub(super) fn retain(&mut self, is_there: impl Fn(WorkerId) -> bool) {
        self.records.retain(|worker, _| is_there(*worker));
        self.unsaid.retain(|worker, _| is_there(*worker));
    }

    /// The changes that have not been reported yet: which worker is slower, and by what factor.
    pub(super) fn take_unsaid(&mut self) -> BTreeMap<WorkerId, u32> {
        std::mem::take(&mut self.unsaid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: WorkerId = WorkerId(1);
    const B: WorkerId = WorkerId(2);

    fn took(thousandths: u32) -> Factor {
        Factor { thousandths, is_least: false, is_light: false, hint_ms: 0 }
    }

    const LIGHT: Factor = Factor::IDLE;

    /// In which batches the weight of worker B changes, and to what.
    fn changes_of(factors: impl Iterator<Item = Factor>) -> Vec<(u64, u32)> {
        let (mut slow, mut changes) = (Slow::default(), Vec::new());
        for (batch, factor) in (1..).zip(factors) {
            if slow.judge(BatchSeq(batch), &BTreeMap::from([(A, took(1000)), (B, factor)])).owns {
                changes.push((batch, slow.weight(B)));
                assert_eq!(slow.take_unsaid().into_keys().collect::<Vec<_>>(), [B]);
            }
            assert_eq!(slow.weight(A), FULL);
        }
        changes
    }

    fn changes(factors: impl Iterator<Item = u32>) -> Vec<(u64, u32)> {
        changes_of(factors.map(took))
    }

    #[test]
    fn who_is_slow_three_times_in_a_row_loses_by_its_factor_and_gets_it_back_when_well() {
        let slow = [2000; 5].into_iter().chain([1000; 20]);
        assert_eq!(changes(slow), [(3, 500), (13, FULL)]);
    }

    #[test]
    fn one_that_is_slow_more_often_than_not_loses_too() {
        let often = [4000, 1000, 4000].into_iter().cycle().take(12);
        assert_eq!(changes(often), [(4, 250)]);
        // It is as fast as others with what is left to it, and slow again with all its share.
        let whenever = [4000, 1000, 1000, 1000].into_iter().cycle().take(12);
        assert_eq!(changes(whenever), [(9, 250)]);
    }

    #[test]
    fn one_that_becomes_slower_still_loses_more_at_once_and_gets_it_back_step_by_step() {
        let slower = [2000; 3].into_iter().chain([8000; 4]).chain([1000; 60]);
        assert_eq!(changes(slower), [(3, 500), (6, 125), (16, 250), (26, 500), (36, FULL)]);
        // What is nearly the same is no reason to move anything.
        assert_eq!(changes([4000; 3].into_iter().chain([5000; 30])), [(3, 250)]);
    }

    #[test]
    fn one_that_is_slow_again_whenever_it_has_more_to_do_waits_longer_each_time() {
        let mut slow = Slow::default();
        let mut raised = Vec::new();
        for batch in 1..=2000 {
            // It can do a quarter of what others do.
            let factor = if slow.weight(B) > 250 { 4000 } else { 1000 };
            let before = slow.weight(B);
            slow.judge(BatchSeq(batch), &BTreeMap::from([(B, took(factor))]));
            if slow.weight(B) > before && batch > 3 {
                raised.push(batch);
            }
        }
        let rests: Vec<u64> = raised.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert_eq!(rests[..5], [23, 43, 83, 163, 323], "{raised:?}");
        assert!(raised.len() <= 8, "{raised:?}");
    }

    #[test]
    fn a_bad_batch_now_and_then_changes_nothing() {
        let bad = [1000, 1000, 1000, 1000, 1000, 5000, 5000, 1300].into_iter().cycle();
        assert_eq!(changes(bad.take(400)), []);
    }

    #[test]
    fn a_worker_between_the_bounds_stays_as_it_is() {
        assert_eq!(changes([1500; 50].into_iter()), []);
        assert_eq!(changes([4000; 3].into_iter().chain([1500; 50])), [(3, 250)]);
    }

    #[test]
    fn batches_in_which_it_had_hardly_anything_to_do_say_little() {
        // It reads in every third batch.
        let seldom = [took(6000), LIGHT, LIGHT].into_iter().cycle().take(10);
        assert_eq!(changes_of(seldom), [(7, 166)]);
        // What was long ago does not count any more.
        let rarely = std::iter::once(took(6000)).chain([LIGHT; 10]).cycle().take(100);
        assert_eq!(changes_of(rarely), []);
        // One that never has much to do gets its share back.
        let idle = [took(2000); 3].into_iter().chain([LIGHT; 30]);
        assert_eq!(changes_of(idle), [(3, 500), (14, FULL)]);
    }

    #[test]
    fn a_batch_in_which_others_were_faster_does_not_say_that_it_is_well() {
        let mut slow = Slow::default();
        let outrun = Factor { is_least: true, ..took(1100) };
        for (batch, factor) in (1..).zip([took(2000), outrun, took(2000), outrun, outrun]) {
            slow.judge(BatchSeq(batch), &BTreeMap::from([(B, factor)]));
            assert!(slow.was_slow(B));
        }
        assert_eq!(slow.weight(B), FULL, "twice, so far");
        assert!(slow.judge(BatchSeq(9), &BTreeMap::from([(B, took(2000))])).owns);
        assert!(slow.was_slow(B));
        for batch in 10..13 {
            assert!(slow.was_slow(B));
            slow.judge(BatchSeq(batch), &BTreeMap::from([(B, took(1500))]));
        }
        assert!(!slow.was_slow(B));
    }

    #[test]
    fn changes_are_rare_whatever_happens() {
        let flaps = (0..2000u32).map(|batch| if batch / 3 % 2 == 0 { 3000 } else { 1000 });
        let changes = changes(flaps);
        assert!(changes.len() <= 30, "{changes:?}");
        let late = changes.iter().filter(|(batch, _)| *batch > 1000);
        assert!(late.count() <= 4, "{changes:?}");
    }

    #[test]
    fn a_slow_batch_is_enough_to_read_less_until_one_says_that_it_is_well() {
        let mut slow = Slow::default();
        let mut judge = |batch, factor| {
            let changes = slow.judge(BatchSeq(batch), &BTreeMap::from([(B, factor)]));
            assert!(!changes.owns);
            (changes.reads, slow.reads(B))
        };
        assert_eq!(judge(1, took(4000)), (true, 250));
        assert_eq!((2..10).map(|batch| judge(batch, LIGHT)).next_back(), Some((false, 250)));
        assert_eq!(judge(30, took(2000)), (true, 500));
        let calm: Vec<_> = (31..34).map(|batch| judge(batch, took(1200))).collect();
        assert_eq!(calm, [(false, 500), (false, 500), (true, FULL)]);
    }

    #[test]
    fn one_that_loses_a_little_in_every_batch_is_slow() {
        let hint = |hint_ms, is_light| Factor { hint_ms, is_light, ..took(UNDECIDED) };
        let heavy = std::iter::repeat_n(hint(50, false), 20);
        assert_eq!(changes_of(heavy), [(6, 400)]);
        // Two batches of three are as those of others.
        let now_and_then = [hint(90, true), LIGHT, LIGHT].into_iter().cycle().take(30);
        assert_eq!(changes_of(now_and_then), [(16, 400)]);
        let noise = [hint(2, true), LIGHT, hint(3, true), LIGHT].into_iter().cycle().take(400);
        assert_eq!(changes_of(noise), []);
    }

    #[test]
    fn two_workers_are_judged_apart() {
        let mut slow = Slow::default();
        for batch in 1..=5 {
            let b = if batch > 2 { 4000 } else { 1000 };
            slow.judge(BatchSeq(batch), &BTreeMap::from([(A, took(2000)), (B, took(b))]));
        }
        assert_eq!((slow.weight(A), slow.weight(B)), (500, 250));
        assert_eq!(slow.readers(), [(A, 500), (B, 250)]);
    }

    #[test]
    fn who_is_gone_is_forgotten() {
        let mut slow = Slow::default();
        for batch in 1..4 {
            slow.judge(BatchSeq(batch), &BTreeMap::from([(B, took(2100))]));
        }
        assert_eq!(slow.factor(B), Some(2100));
        slow.retain(|worker| worker != B);
        assert_eq!((slow.factor(B), slow.take_unsaid()), (None, BTreeMap::new()));
    }
}
