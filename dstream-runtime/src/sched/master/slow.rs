//! Workers that are slow again and again: they lose partitions, and get them back when they are as fast as
//! the others again.
//!
//! Judged batch by batch from how long its tasks took for what they read. It never flaps: several batches in
//! a row must say the same, there is a gap between what is slow and what is well, and changes are rare.

use std::collections::BTreeMap;

use crate::id::{BatchSeq, WorkerId};
use crate::sched::stragglers::{Factor, UNDECIDED};

/// So many times as long as the median is slow, in thousandths.
const SLOW: u32 = 1600;
/// No more than so many times is well.
const WELL: u32 = 1250;
// What is undecided is neither.
const _: () = assert!(WELL < UNDECIDED && UNDECIDED < SLOW);
/// So many batches in a row must say the same.
const ROW: u32 = 3;
/// So many batches must be between two changes.
const REST: u64 = 10;
/// The weight of a worker that is as fast as the others.
pub(super) const FULL: u32 = 1000;

#[derive(Debug, Clone, Copy)]
struct Record {
    /// What it may own in proportion to the others.
    weight: u32,
    slow: u32,
    well: u32,
    /// Over the batches in a row.
    sum: u64,
}

/// How slow workers are.
#[derive(Debug, Default)]
pub(super) struct Slow {
    records: BTreeMap<WorkerId, Record>,
    changed: Option<BatchSeq>,
    /// Whose weight has changed, and nobody has been told.
    unsaid: BTreeMap<WorkerId, u32>,
}

impl Slow {
    /// What a worker may own in proportion to the others.
    pub(super) fn weight(&self, worker: WorkerId) -> u32 {
        self.records.get(&worker).map_or(FULL, |record| record.weight)
    }

    /// By what factor a worker that loses partitions was slower than the others, in thousandths.
    pub(super) fn factor(&self, worker: WorkerId) -> Option<u32> {
        let weight = self.weight(worker);
        (weight < FULL).then(|| FULL * 1000 / weight)
    }

    /// Whether a worker was slow in the last batch that says something of it.
    pub(super) fn was_slow(&self, worker: WorkerId) -> bool {
        self.records.get(&worker).is_some_and(|record| record.slow > 0)
    }

    /// A batch has run: how many times as long as the median each worker took. Whether a weight changes.
    pub(super) fn judge(&mut self, batch: BatchSeq, factors: &BTreeMap<WorkerId, Factor>) -> bool {
        for (worker, Factor { thousandths: factor, is_least }) in factors {
            let new = Record { weight: FULL, slow: 0, well: 0, sum: 0 };
            let record = self.records.entry(*worker).or_insert(new);
            if *factor >= SLOW {
                record.sum = if record.slow == 0 { 0 } else { record.sum } + u64::from(*factor);
                (record.slow, record.well) = (record.slow + 1, 0);
            } else if !is_least {
                record.slow = 0;
                record.well = if *factor <= WELL { record.well + 1 } else { 0 };
            }
        }
        if self.changed.is_some_and(|changed| batch.0 < changed.0.saturating_add(REST)) {
            return false;
        }
        let before = self.unsaid.len();
        for (worker, record) in &mut self.records {
            let weight = if record.slow >= ROW && record.weight == FULL {
                let factor = record.sum / u64::from(record.slow);
                u32::try_from(u64::from(FULL) * 1000 / factor.max(1)).unwrap_or(FULL).max(1)
            } else if record.well >= ROW && record.weight < FULL {
                FULL
            } else {
                continue;
            };
            record.weight = weight;
            self.unsaid.insert(*worker, FULL * 1000 / weight);
        }
        let changes = self.unsaid.len() > before;
        if changes {
            self.changed = Some(batch);
        }
        changes
    }

    /// Forgets workers that are gone.
    pub(super) fn retain(&mut self, is_there: impl Fn(WorkerId) -> bool) {
        self.records.retain(|worker, _| is_there(*worker));
        self.unsaid.retain(|worker, _| is_there(*worker));
    }

    /// What has changed and nobody has been told: by what factor which worker is slower.
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
        Factor { thousandths, is_least: false }
    }

    /// In which batches the weight of worker B changes, and to what.
    fn changes(factors: impl Iterator<Item = u32>) -> Vec<(u64, u32)> {
        let (mut slow, mut changes) = (Slow::default(), Vec::new());
        for (batch, factor) in (1..).zip(factors) {
            if slow.judge(BatchSeq(batch), &BTreeMap::from([(A, took(1000)), (B, took(factor))])) {
                changes.push((batch, slow.weight(B)));
                assert_eq!(slow.take_unsaid().into_keys().collect::<Vec<_>>(), [B]);
            }
            assert_eq!(slow.weight(A), FULL);
        }
        changes
    }

    #[test]
    fn who_is_slow_three_times_in_a_row_loses_by_its_factor_and_gets_it_back_when_well() {
        let slow = [2000; 5].into_iter().chain([1000; 20]);
        assert_eq!(changes(slow), [(3, 500), (13, FULL)]);
    }

    #[test]
    fn a_bad_batch_now_and_then_changes_nothing() {
        assert_eq!(changes([1000, 5000, 5000, 1300].into_iter().cycle().take(100)), []);
    }

    #[test]
    fn whoever_is_in_between_stays_as_it_is() {
        assert_eq!(changes([1500; 50].into_iter()), []);
        assert_eq!(changes([4000; 3].into_iter().chain([1500; 50])), [(3, 250)]);
    }

    #[test]
    fn a_batch_in_which_others_were_faster_does_not_say_that_it_is_well() {
        let mut slow = Slow::default();
        let outrun = Factor { thousandths: 1100, is_least: true };
        for (batch, factor) in (1..).zip([took(2000), outrun, took(2000), outrun, outrun]) {
            slow.judge(BatchSeq(batch), &BTreeMap::from([(B, factor)]));
            assert!(slow.was_slow(B));
        }
        assert_eq!(slow.weight(B), FULL, "twice, so far");
        assert!(slow.judge(BatchSeq(9), &BTreeMap::from([(B, took(2000))])));
        slow.judge(BatchSeq(10), &BTreeMap::from([(B, took(1500))]));
        assert!(!slow.was_slow(B));
    }

    #[test]
    fn changes_are_rare_whatever_happens() {
        let flaps = (0..200u32).map(|batch| if batch / 3 % 2 == 0 { 3000 } else { 1000 });
        let changes = changes(flaps);
        assert!(changes.windows(2).all(|pair| pair[1].0 - pair[0].0 >= REST), "{changes:?}");
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
