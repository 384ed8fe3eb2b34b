//! Which tasks and which workers are too slow: pure functions of what is known of a stage in one batch.
//!
//! A task is compared with the others of its stage by what it reads, never with a fixed time: only the
//! floor is one, because no task is worth a second run that takes as long as to notice it. What waits
//! behind a straggler on the same worker is as late as the straggler.

use std::collections::BTreeMap;

use crate::guards::{Guard, left_out};
use crate::id::{BatchSeq, StageId, WorkerId};

/// What is late by less is no straggler, in milliseconds: about as long as it takes to find out, to tell
/// another worker and to hear from it.
pub(super) const FLOOR_MS: u64 = 100;
/// Straggler threshold: 1.4 × the median, in tenths.
const FACTOR: u64 = 14;
/// Slow: this multiple of the median, in thousandths.
pub(super) const SLOW: u32 = 1600;
/// Neither slow nor well: this multiple of the median, in thousandths.
pub(super) const UNDECIDED: u32 = 1500;
/// Who was busy for less had so little to do that it may be slow all the same, in milliseconds.
const LIGHT_MS: u64 = FLOOR_MS / 4;
/// Batches whose paces are remembered.
const REMEMBERED: u64 = 64;
/// The size that a pace is for: a byte takes less than a microsecond.
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
    /// It ended: no other worker was faster.
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

/// How long a stage takes for what it reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Pace(u64);

impl Pace {
    /// The pace of those that have run, by the lower median; none as long as nothing has that read something.
    #[must_use]
    pub(super) fn of(runs: &[Run]) -> Option<Self> {
        let whole = runs.iter().filter(|run| run.is_whole && run.size > 0);
        lower_median(whole.map(|run| Self::from(run.micros, run.size)))
    }

    fn from(micros: u64, size: u64) -> Self {
        let pace = u128::from(micros) * UNIT / u128::from(size.max(1));
        Self(u64::try_from(pace).unwrap_or(u64::MAX))
    }

    /// How long a task takes that has so much to read, in microseconds.
    fn micros(self, size: u64) -> u64 {
        let micros = u128::from(self.0) * u128::from(size.max(1)) / UNIT;
        u64::try_from(micros).unwrap_or(u64::MAX)
    }
}

/// The middle one, or the smaller of the two in the middle.
pub(super) fn lower_median<T: Ord + Copy>(all: impl Iterator<Item = T>) -> Option<T> {
    let mut all: Vec<T> = all.collect();
    let middle = all.len().checked_sub(1)? / 2;
    Some(*all.select_nth_unstable(middle).1)
}

/// At which pace each worker has read for each stage, the last time that it did. Of a batch that one worker reads alone
/// nothing else says whether it was slow.
#[derive(Debug, Default)]
pub(super) struct Paces(BTreeMap<(StageId, WorkerId), (BatchSeq, Pace)>);

impl Paces {
    /// A batch has run, and these are its runs of a stage.
    pub(super) fn note(&mut self, batch: BatchSeq, stage: StageId, runs: &[Run]) {
        let mut sums: BTreeMap<WorkerId, (u64, u64)> = BTreeMap::new();
        for run in runs.iter().filter(|run| run.is_whole && run.size > 0) {
            let (micros, size) = sums.entry(run.worker).or_default();
            (*micros, *size) = (micros.saturating_add(run.micros), size.saturating_add(run.size));
        }
        for (worker, (micros, size)) in sums {
            self.0.insert((stage, worker), (batch, Pace::from(micros, size)));
        }
    }

    /// The pace of a stage: the lower median of the workers'.
    #[must_use]
    pub(super) fn of(&self, stage: StageId) -> Option<Pace> {
        let all = self.0.range((stage, WorkerId(0))..=(stage, WorkerId(u32::MAX)));
        let newest = all.clone().map(|(_, (batch, _))| *batch).max();
        let counts = |of: BatchSeq| !left_out(Guard::LoneIsJudged) || Some(of) == newest;
        lower_median(all.filter(|(_, (batch, _))| counts(*batch)).map(|(_, (_, pace))| *pace))
    }

    /// Forgets what is old, and workers that are gone.
    pub(super) fn forget(&mut self, batch: BatchSeq, is_there: impl Fn(WorkerId) -> bool) {
        self.0.retain(|(_, worker), (of, _)| {
            is_there(*worker) && batch.0.saturating_sub(of.0) <= REMEMBERED
        });
    }
}

/// For how long something of a worker ran that does not read a source, in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Ran {
    pub(super) micros: u64,
    /// For how long of that it had a processor.
    pub(super) busy_micros: u64,
}

impl Ran {
    /// How many times as long it took as it had a processor, in thousandths.
    pub(super) fn stretch(self) -> Option<u64> {
        let times = self.micros.saturating_mul(1000).checked_div(self.busy_micros)?;
        Some(times.max(1000))
    }
}

/// Whether enough tasks of a stage have run that the others can be judged by them: three quarters, or half if the
/// rest is that of a quarter of the workers. `late` is how many workers have not done theirs; it is asked for only
/// if it matters.
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
    /// It had so little to do that this says hardly anything.
    pub(super) is_light: bool,
    /// How long it lost, in milliseconds, where that is too little to say that it is slow and it may be so; else 0.
    pub(super) hint_ms: u32,
}

impl Factor {
    /// Of a worker that had nothing to do.
    pub(super) const IDLE: Self =
        Self { thousandths: 1000, is_least: false, is_light: true, hint_ms: 0 };
}

#[derive(Default)]
pub(super) struct Sums {
    took: u64,
    expected: u64,
    is_least: bool,
}

impl Sums {
    pub(super) fn of(took: u64, expected: u64) -> Self {
        Self { took, expected, is_least: false }
    }

    fn add(&mut self, took: u64, expected: u64) {
        self.took = self.took.saturating_add(took);
        self.expected = self.expected.saturating_add(expected);
    }

    pub(super) fn factor(&self) -> Factor {
        let times = self.took.saturating_mul(1000) / self.expected.max(1);
        let thousandths = u32::try_from(times).unwrap_or(u32::MAX);
        let thousandths = match self.took.saturating_sub(self.expected) / 1000 {
            lost if lost >= FLOOR_MS => thousandths,
            // Short tasks say little: not that it is slow, and hardly that it is well.
            lost if lost >= LIGHT_MS => thousandths.min(UNDECIDED),
            _ => thousandths.min(1000),
        };
        let is_light = self.took / 1000 < LIGHT_MS;
        let lost = self.took.saturating_sub(self.expected) / 1000;
        let hint_ms = match thousandths < SLOW && times >= u64::from(SLOW) {
            true => u32::try_from(lost).unwrap_or(u32::MAX),
            false => 0,
        };
        Factor { thousandths, is_least: self.is_least, is_light, hint_ms }
    }
}

/// How many times as long as the median each worker took for its tasks of a batch. One that lost less than the floor
/// was not slow.
///
/// Tasks that read a source are judged by what they read and the pace of their stage. What other tasks have to do is
/// not known: they are judged by the time in which they had no processor, though they wait for nothing.
#[must_use]
pub(super) fn slowness<'a>(
    stages: impl Iterator<Item = (&'a [Run], Pace)>,
    others: &BTreeMap<WorkerId, Ran>,
) -> BTreeMap<WorkerId, Factor> {
    let mut sums: BTreeMap<WorkerId, Sums> = BTreeMap::new();
    for (runs, pace) in stages {
        for run in runs.iter().filter(|run| run.size > 0) {
            let sums = sums.entry(run.worker).or_default();
            sums.add(run.micros, pace.micros(run.size));
            sums.is_least |= !run.is_whole;
        }
    }
    let usual = lower_median(others.values().filter_map(|ran| ran.stretch()));
    for (worker, ran) in others {
        let usual = usual.filter(|_| ran.busy_micros > 0);
        let expected = usual.map_or(ran.micros, |usual| ran.busy_micros * usual / 1000);
        sums.entry(*worker).or_default().add(ran.micros, expected.min(ran.micros));
    }
    sums.into_iter().map(|(worker, sums)| (worker, sums.factor())).collect()
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

    /// Factors of the workers in thousandths, and whether they are least, for batches of stages that are judged by
    /// what they have shown themselves.
    fn factors(stages: &[&[Run]], others: &[(u32, u64, u64)]) -> Vec<(u32, bool, bool)> {
        let mut paces = Paces::default();
        for (stage, runs) in (0..).map(StageId).zip(stages) {
            paces.note(BatchSeq(1), stage, runs);
        }
        let pace = |stage| paces.of(stage).unwrap();
        let stages = (0..).map(StageId).zip(stages).map(|(stage, runs)| (*runs, pace(stage)));
        let ran = |(worker, ms, busy): &(u32, u64, u64)| {
            (WorkerId(*worker), Ran { micros: ms * 1000, busy_micros: busy * 1000 })
        };
        let factors = slowness(stages, &others.iter().map(ran).collect()).into_values();
        factors.map(|f| (f.thousandths, f.is_least, f.is_light)).collect()
    }

    const FAST: (u32, bool, bool) = (1000, false, false);

    #[test]
    fn a_worker_is_slow_against_the_median_and_only_by_more_than_the_floor() {
        let heavy = [run(0, 1, 400), run(1, 1, 400), run(1, 2, 800), run(2, 1, 1200)];
        let outrun = Run { is_whole: false, ..run(3, 1, 800) };
        let light = [run(0, 1, 5), run(1, 1, 5), run(2, 1, 40)];
        let fast = (1000, false, true);
        assert_eq!(factors(&[&heavy], &[]), [FAST, FAST, (3000, false, false)]);
        assert_eq!(factors(&[&light], &[]), [fast, fast, (UNDECIDED, false, false)]);
        let tiny = [run(0, 1, 1), run(1, 1, 1), run(2, 1, 9)];
        assert_eq!(factors(&[&tiny], &[]), [fast; 3]);
        let more = [outrun, run(0, 1, 400), run(1, 1, 400)];
        let slow = [FAST, FAST, (3000, false, false), (2000, true, false)];
        assert_eq!(factors(&[&heavy, &more], &[]), slow);
    }

    #[test]
    fn one_that_reads_alone_is_judged_by_what_others_have_shown_before() {
        let mut paces = Paces::default();
        let stage = StageId(0);
        for (batch, worker, ms) in [(1, 0, 100), (2, 1, 110), (3, 0, 100), (4, 2, 100)] {
            paces.note(BatchSeq(batch), stage, &[run(worker, 10, ms), run(1, 0, 1)]);
        }
        let slow = [run(0, 20, 1000)];
        paces.note(BatchSeq(5), stage, &slow);
        let pace = paces.of(stage).unwrap();
        assert_eq!(pace.micros(10), 110_000);
        let all = slowness([(&slow[..], pace)].into_iter(), &BTreeMap::new());
        assert_eq!(all[&WorkerId(0)].thousandths, 4545);
        // Once all of it has become slower, that is the pace.
        paces.note(BatchSeq(6), stage, &[run(1, 10, 500)]);
        assert_eq!(paces.of(stage).unwrap().micros(10), 500_000);
        paces.forget(BatchSeq(4 + REMEMBERED + 1), |worker| worker != WorkerId(0));
        assert_eq!(paces.0.len(), 1, "one is old, and one is gone");
    }

    #[test]
    fn tasks_that_read_no_source_are_judged_by_the_time_without_a_processor() {
        let starved = [(0, 400, 60), (1, 66, 60), (2, 180, 150)];
        let factors_of = |others| factors(&[], others);
        assert_eq!(factors_of(&starved), [(5555, false, false), FAST, (1000, false, false)]);
        // All of them share too few processors.
        assert_eq!(factors_of(&[(0, 400, 100), (1, 800, 200), (2, 400, 100)]), [FAST; 3]);
        // One that has much to do is not slow.
        assert_eq!(factors_of(&[(0, 900, 880), (1, 40, 40), (2, 40, 40)]), [FAST; 3]);
        // It is not known where there is no such clock.
        assert_eq!(factors_of(&[(0, 900, 0), (1, 40, 40)]), [FAST; 2]);
    }
}
