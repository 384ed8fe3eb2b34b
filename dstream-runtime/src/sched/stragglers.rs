//! Which tasks and which workers are too slow: pure functions of what is known of a stage in one batch.
//!
//! A task is compared with the others of its stage by what it reads, never with a fixed time: only the
//! floor is one, because no task is worth a second run that takes as long as to notice it. What waits
//! behind a straggler on the same worker is as late as the straggler.

use std::collections::BTreeMap;

use crate::id::WorkerId;

/// What is late by less is no straggler, in milliseconds: about as long as it takes to find out, to tell
/// another worker and to hear from it.
pub(super) const FLOOR_MS: u64 = 100;
/// So many times as long as the median, in tenths.
const FACTOR: u64 = 14;
/// Paces are per so many units of size: a byte takes less than a microsecond.
const UNIT: u128 = 1_000_000;

/// A task that has run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    /// Who owns it.
    pub(super) worker: WorkerId,
    /// How much it had to read.
    pub(super) size: u64,
    /// How long it took; if it is not whole, so long at least.
    pub(super) micros: u64,
    /// It ended: nobody else was faster.
    pub(super) is_whole: bool,
}

/// What one worker has not done of one stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Backlog {
    /// It could have begun with the first of them by then.
    pub(super) since_ms: u64,
    /// How many it runs at a time.
    pub(super) slots: u32,
    /// How much each has to read, in the order in which they are run.
    pub(super) sizes: Vec<u64>,
}

/// How long a stage takes for what it reads: the median of its tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pace(u64);

impl Pace {
    /// The pace of those that have run, by the lower median; none as long as nothing has.
    #[must_use]
    pub(super) fn of(runs: &[Run]) -> Option<Self> {
        let whole = runs.iter().filter(|run| run.is_whole);
        let mut paces: Vec<u64> = whole
            .map(|run| {
                let pace = u128::from(run.micros) * UNIT / u128::from(run.size.max(1));
                u64::try_from(pace).unwrap_or(u64::MAX)
            })
            .collect();
        let middle = paces.len().checked_sub(1)? / 2;
        Some(Self(*paces.select_nth_unstable(middle).1))
    }

    /// How long a task takes that has so much to read, in microseconds.
    fn micros(self, size: u64) -> u64 {
        let micros = u128::from(self.0) * u128::from(size.max(1)) / UNIT;
        u64::try_from(micros).unwrap_or(u64::MAX)
    }
}

/// Whether so many tasks of a stage have run that the others can be judged by them.
#[must_use]
pub(super) fn can_judge(done: u32, tasks: u32) -> bool {
    done > 0 && u64::from(done) * 4 >= u64::from(tasks) * 3
}

/// When everything that a worker has not done counts as late, in milliseconds.
#[must_use]
pub(super) fn late_at(pace: Pace, backlog: &Backlog) -> u64 {
    let first = backlog.sizes.iter().take(backlog.slots.max(1) as usize).max();
    let expected = pace.micros(first.copied().unwrap_or(0));
    let allowed = expected.saturating_mul(FACTOR) / 10 / 1000;
    backlog.since_ms.saturating_add(allowed.max(FLOOR_MS))
}

/// By what factor each worker was slower than the median, in thousandths, over the stages of a batch. One
/// that lost less than the floor was as fast as it matters.
#[must_use]
pub(super) fn slowness<'a>(stages: impl Iterator<Item = &'a [Run]>) -> BTreeMap<WorkerId, u32> {
    let mut sums: BTreeMap<WorkerId, (u64, u64)> = BTreeMap::new();
    for runs in stages {
        let Some(pace) = Pace::of(runs) else { continue };
        for run in runs {
            let (took, expected) = sums.entry(run.worker).or_default();
            *took = took.saturating_add(run.micros);
            *expected = expected.saturating_add(pace.micros(run.size));
        }
    }
    let factor = |(took, expected): (u64, u64)| {
        if took < expected.saturating_add(FLOOR_MS * 1000) {
            return 1000;
        }
        u32::try_from(took.saturating_mul(1000) / expected.max(1)).unwrap_or(u32::MAX)
    };
    sums.into_iter().map(|(worker, sums)| (worker, factor(sums))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(worker: u32, size: u64, ms: u64) -> Run {
        Run { worker: WorkerId(worker), size, micros: ms * 1000, is_whole: true }
    }

    fn backlog(since_ms: u64, slots: u32, sizes: &[u64]) -> Backlog {
        Backlog { since_ms, slots, sizes: sizes.to_vec() }
    }

    #[test]
    fn three_quarters_are_enough_to_judge_the_rest() {
        let judged = [(0, 0), (0, 1), (2, 4), (3, 4), (5, 8), (6, 8), (7, 8), (2, 3), (3, 3)]
            .map(|(done, tasks)| can_judge(done, tasks));
        assert_eq!(judged, [false, false, false, true, false, true, true, false, true]);
    }

    #[test]
    fn a_task_is_late_by_what_it_reads() {
        // The median reads 1,000,000 bytes in 200 ms; one that reads twice as much may take twice as long.
        let runs =
            [(1, 100), (1, 200), (2, 400), (1, 900)].map(|(mb, ms)| run(0, mb * 1_000_000, ms));
        let pace = Pace::of(&runs).unwrap();
        assert_eq!(late_at(pace, &backlog(1000, 1, &[1_000_000])), 1280);
        assert_eq!(late_at(pace, &backlog(1000, 1, &[2_000_000])), 1560);
        // Two at a time: the longer one of the first two decides.
        assert_eq!(late_at(pace, &backlog(1000, 2, &[1_000_000, 3_000_000, 9_000_000])), 1840);
        assert_eq!(Pace::of(&[]), None);
    }

    #[test]
    fn short_tasks_are_never_late_before_the_floor() {
        let pace = Pace::of(&[run(0, 10, 1), run(0, 10, 1)]).unwrap();
        assert_eq!(late_at(pace, &backlog(0, 1, &[10])), FLOOR_MS);
        assert_eq!(late_at(pace, &backlog(7, 1, &[0])), 7 + FLOOR_MS);
    }

    #[test]
    fn the_slower_half_does_not_make_the_faster_one_look_fast() {
        let pace = Pace::of(&[run(0, 1, 100), run(0, 1, 100), run(1, 1, 900), run(1, 1, 900)]);
        assert_eq!(pace.map(|pace| pace.micros(1)), Some(100_000));
    }

    #[test]
    fn a_worker_is_slow_against_the_median_and_only_by_more_than_the_floor() {
        let heavy = [run(0, 1, 400), run(1, 1, 400), run(1, 2, 800), run(2, 1, 1200)];
        let outrun = Run { is_whole: false, ..run(3, 1, 800) };
        let light = [run(0, 1, 5), run(1, 1, 5), run(2, 1, 40)];
        let factors = |runs: &[Run]| slowness([runs].into_iter()).into_values().collect::<Vec<_>>();
        assert_eq!(factors(&heavy), [1000, 1000, 3000]);
        assert_eq!(factors(&light), [1000; 3]);
        let all = [&heavy[..], &[outrun, run(0, 1, 400), run(1, 1, 400)]];
        assert_eq!(
            slowness(all.into_iter()).into_values().collect::<Vec<_>>(),
            [1000, 1000, 3000, 2000]
        );
    }
}
