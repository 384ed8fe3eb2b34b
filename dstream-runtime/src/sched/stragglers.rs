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
/// So many times as long as the median, in thousandths, is neither slow nor well.
pub(super) const UNDECIDED: u32 = 1500;
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
    /// It was slow in the batch before: there is nothing to wait for but the floor.
    pub(super) was_slow: bool,
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

/// Whether so many tasks of a stage have run that the others can be judged by them: three quarters, or half
/// if the rest is that of a quarter of the workers. `late` is how many workers have not done theirs; it is
/// asked for only if it matters.
#[must_use]
pub(super) fn can_judge(done: u32, tasks: u32, workers: usize, late: impl Fn() -> usize) -> bool {
    let (done, tasks) = (u64::from(done), u64::from(tasks));
    done > 0 && (done * 4 >= tasks * 3 || done * 2 >= tasks && late() <= workers.div_ceil(4))
}

/// When everything that a worker has not done counts as late, in milliseconds.
#[must_use]
pub(super) fn late_at(pace: Pace, backlog: &Backlog) -> u64 {
    let first = backlog.sizes.iter().take(backlog.slots.max(1) as usize).max();
    let expected = pace.micros(first.copied().unwrap_or(0));
    let allowed = match backlog.was_slow {
        true => 0,
        false => expected.saturating_mul(FACTOR) / 10 / 1000,
    };
    backlog.since_ms.saturating_add(allowed.max(FLOOR_MS))
}

/// How many times as long as the median a worker took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Factor {
    /// In thousandths.
    pub(super) thousandths: u32,
    /// Others were faster with something, so it may be more.
    pub(super) is_least: bool,
}

/// How many times as long as the median each worker took, over the stages of a batch. One that lost less than
/// the floor was not slow.
#[must_use]
pub(super) fn slowness<'a>(stages: impl Iterator<Item = &'a [Run]>) -> BTreeMap<WorkerId, Factor> {
    #[derive(Default)]
    struct Sums {
        took: u64,
        expected: u64,
        is_least: bool,
    }
    let mut sums: BTreeMap<WorkerId, Sums> = BTreeMap::new();
    for runs in stages {
        let Some(pace) = Pace::of(runs) else { continue };
        for run in runs {
            let sums = sums.entry(run.worker).or_default();
            sums.took = sums.took.saturating_add(run.micros);
            sums.expected = sums.expected.saturating_add(pace.micros(run.size));
            sums.is_least |= !run.is_whole;
        }
    }
    let factor = |Sums { took, expected, is_least }| {
        let times = took.saturating_mul(1000) / expected.max(1);
        let thousandths = u32::try_from(times).unwrap_or(u32::MAX);
        let thousandths = match took.saturating_sub(expected) / 1000 {
            lost if lost >= FLOOR_MS => thousandths,
            // Short tasks say little: not that it is slow, and hardly that it is well.
            lost if lost >= FLOOR_MS / 4 => thousandths.min(UNDECIDED),
            _ => thousandths.min(1000),
        };
        Factor { thousandths, is_least }
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
        Backlog { since_ms, slots, was_slow: false, sizes: sizes.to_vec() }
    }

    #[test]
    fn three_quarters_of_tasks_or_of_workers_are_enough_to_judge_the_rest() {
        let many = [(0, 0), (0, 1), (2, 4), (3, 4), (5, 8), (6, 8), (7, 8), (2, 3), (3, 3)]
            .map(|(done, tasks)| can_judge(done, tasks, 4, || 2));
        assert_eq!(many, [false, false, false, true, false, true, true, false, true]);
        let one = [(0, 1), (1, 2), (1, 3), (2, 3), (5, 7), (3, 7)]
            .map(|(done, tasks)| can_judge(done, tasks, 4, || 1));
        assert_eq!(one, [false, true, false, true, true, false]);
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
        let again = Backlog { was_slow: true, ..backlog(1000, 1, &[2_000_000]) };
        assert_eq!(late_at(pace, &again), 1000 + FLOOR_MS);
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
        let factors = |stages: &[&[Run]]| {
            let factors = slowness(stages.iter().copied()).into_values();
            factors.map(|factor| (factor.thousandths, factor.is_least)).collect::<Vec<_>>()
        };
        let fast = (1000, false);
        assert_eq!(factors(&[&heavy]), [fast, fast, (3000, false)]);
        assert_eq!(factors(&[&light]), [fast, fast, (UNDECIDED, false)]);
        let tiny = [run(0, 1, 1), run(1, 1, 1), run(2, 1, 9)];
        assert_eq!(factors(&[&tiny]), [fast; 3]);
        let more = [outrun, run(0, 1, 400), run(1, 1, 400)];
        assert_eq!(factors(&[&heavy, &more]), [fast, fast, (3000, false), (2000, true)]);
    }
}
