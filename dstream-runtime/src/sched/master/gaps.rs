//! Intervals in which no batch could be cut: the master was away (not started, frozen), or it had no workers.
//!
//! Results are as if each of these intervals had had its batch. Nothing was taken in then, so these batches are
//! *missed*: they are empty, and no source is asked. What came meanwhile belongs to the newest interval that is
//! over, in which it is taken in. The work is less: once enough batches in a row were empty that nothing more comes
//! out ([`Plan::rest`]), all further missed intervals are one step. Batches keep their consecutive numbers, so
//! windows, slides and states never see the step; only the zero time is a later one from there on, which is written
//! down ([`JournalEntry::Gap`]) before the cut of the next batch. The step is a multiple of [`Plan::cycle`], so
//! slides keep their rhythm.
//!
//! A job that is late because its batches take long misses nothing: it cuts one batch after another, and asks its
//! sources for each.
//!
//! Invariant: time is stepped over only where every batch that is left out would have published nothing.

use super::*;
use crate::guards::{Guard, guard, left_out};

/// A batch that could have been cut that much later than its time, in milliseconds, and two intervals, was missed.
const LATE_MS: u64 = 1000;

/// Which intervals were missed, and whether their batches matter.
#[derive(Debug)]
pub(super) struct Gaps {
    /// What ended before this could not be cut in time.
    until_ms: u64,
    /// That some were missed was not said yet.
    unsaid: bool,
    /// There was no room for another batch when that was looked at last.
    pub(super) crowded: bool,
    /// How many batches in a row had no input, up to the newest.
    quiet: u64,
    /// See [`Plan::rest`]; none as well where empty batches are published.
    rest: Option<u64>,
    /// See [`Plan::cycle`].
    cycle: u64,
}

/// What becomes of the next batch that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Missed {
    /// How many intervals are stepped over before it.
    pub(super) steps: u64,
    /// It is empty, and this many after it.
    pub(super) empty: u64,
}

impl Gaps {
    /// Those of a job that begins: nothing has had any input.
    pub(super) fn new(plan: &Plan, config: &MasterConfig) -> Self {
        let rest = plan.rest(config.timetable.interval_ms());
        let rest = rest.filter(|_| !config.publishes_empty);
        // What a savepoint has in its windows is not known.
        let quiet = if config.first == BatchSeq(1) { u64::MAX } else { 0 };
        Self { until_ms: 0, unsaid: false, crowded: false, quiet, rest, cycle: plan.cycle() }
    }

    /// Those of a master that goes on at a time: nothing was cut up to then.
    pub(super) fn resume(&mut self, past: &Past, now_ms: u64) {
        (self.until_ms, self.unsaid) = (now_ms, true);
        self.quiet = 0;
        let known: Vec<_> = past.batches().collect();
        for (_, batch) in known.iter().rev() {
            if !is_empty(&batch.inputs) {
                return;
            }
            self.quiet += 1;
        }
    }

    /// A batch begins.
    pub(super) fn begins(&mut self, inputs: &[Vec<Vec<Range>>]) {
        self.quiet = if is_empty(inputs) { self.quiet.saturating_add(1) } else { 0 };
    }

    /// What becomes of the next batch, which was due some time ago and can be cut now. Whether it was noticed only
    /// now that batches were missed.
    fn judge(&mut self, now_ms: u64, due_ms: u64, interval_ms: u64) -> (Missed, bool) {
        let late = now_ms.saturating_sub(due_ms) >= LATE_MS.max(interval_ms.saturating_mul(2));
        if late && !self.crowded {
            self.unsaid |= self.until_ms < due_ms;
            self.until_ms = now_ms;
        }
        self.crowded = false;
        // The newest interval that is over takes in what there is.
        let missed = self.until_ms.min(now_ms).saturating_sub(due_ms) / interval_ms.max(1);
        let rests = self.rest.is_some_and(|rest| guard(Guard::GapsAtRest, self.quiet >= rest));
        let steps = if rests { missed / self.cycle * self.cycle } else { 0 };
        (Missed { steps, empty: missed - steps }, std::mem::take(&mut self.unsaid))
    }
}

impl MasterCore {
    /// Deals with the intervals that were missed before the next batch, which is due. Whether that batch is one of
    /// them: then it has begun.
    pub(super) fn catch_up(&mut self, now_ms: u64, due_ms: u64) -> bool {
        let interval = self.config.timetable.interval_ms();
        let (missed, is_new) = self.gaps.judge(now_ms, due_ms, interval);
        if is_new && missed.steps + missed.empty > 0 {
            let all = missed.steps + missed.empty;
            // Without further input, windows hold nothing after `rest` batches.
            let run = self.gaps.rest.map_or(all, |rest| {
                let runs = rest.saturating_sub(self.gaps.quiet);
                if runs >= all { all } else { runs + (all - runs) % self.gaps.cycle }
            });
            self.actions.push_back(MasterAction::Missed { intervals: all, run });
        }
        if missed.steps > 0 {
            self.step_over(missed.steps);
        }
        if missed.empty == 0 {
            return false;
        }
        self.push_empty(now_ms);
        true
    }

    /// The next batch ends this many intervals later.
    fn step_over(&mut self, intervals: u64) {
        let (first, timetable) = (self.next, &mut self.config.timetable);
        let later = intervals.saturating_mul(timetable.interval_ms());
        let zero_ms = timetable.zero_ms().saturating_add(later);
        timetable.shift(first, zero_ms);
        if self.checkpoints.is_some() && !left_out(Guard::GapIsWritten) {
            let at = self.journal.note();
            let entry = JournalEntry::Gap { first, zero_ms };
            self.actions.push_back(MasterAction::Persist(at, entry));
        }
    }
}

/// Whether a batch has no input at all.
fn is_empty(inputs: &[Vec<Vec<Range>>]) -> bool {
    inputs.iter().all(Vec::is_empty)
}
