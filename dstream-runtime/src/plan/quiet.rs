//! Batches without input: after how many nothing is emitted, and the rhythm of stages.
//!
//! Pure functions of the constant tables. Invariant: if [`Plan::rest`] says r and [`Plan::cycle`] says c, then
//! after r batches without input any multiple of c further ones emit nothing, and the batches behind them
//! give the same as without them.

use super::{Plan, StateKind, words};
use crate::id::{BatchSeq, StageId};
use crate::time::IDLE_MS;

impl Plan {
    /// The operators that may emit without input, by name and line.
    pub fn emits_from_nothing(&self) -> impl Iterator<Item = (&'static str, u32)> {
        self.operators.iter().filter(|row| !row.silent).map(|row| (row.name, row.line))
    }

    /// The number of batches without input after which nothing is emitted until there is input again: when
    /// all panes have left their windows, and all keys have timed out. `None` if something may always be emitted.
    #[must_use]
    pub fn rest(&self, interval_ms: u64) -> Option<u64> {
        if self.emits_from_nothing().next().is_some() {
            return None;
        }
        let mut reach = vec![0u64; self.stages.len()];
        // Stages come after those that they read.
        for row in self.stages {
            let from = row.inputs.iter().flat_map(|input| input.from);
            let from = from.filter_map(|(stage, _)| reach.get(stage.index()).copied()).max();
            let own = match row.state.as_ref().map(|state| state.kind) {
                Some(kind @ StateKind::Panes { .. }) => u64::from(words::retained(kind)),
                // A split that is not active any more may let the watermark go on.
                Some(StateKind::Watermark) => IDLE_MS.div_ceil(interval_ms.max(1)) + 1,
                // The batch in which the last key is late by more than that.
                Some(StateKind::Waking { ms }) => ms? / interval_ms.max(1) + 1,
                Some(
                    StateKind::PreviousBatch
                    | StateKind::Expiring { .. }
                    | StateKind::EventPanes { .. }
                    | StateKind::Sessions { .. }
                    | StateKind::EventSides { .. },
                )
                | None => 0,
            };
            let waits = u64::from(row.every.max(row.emits_every).max(1)) - 1;
            let all = from.unwrap_or(0).saturating_add(own).saturating_add(waits);
            if let Some(reach) = reach.get_mut(row.id.index()) {
                *reach = all;
            }
        }
        Some(reach.into_iter().max().unwrap_or(0))
    }

    /// The batch with which everything up to `batch` has been in a result of a stage: a window that emits in every tenth
    /// batch has the last records of 25 batches in the 30th.
    #[must_use]
    pub fn completes(&self, stage: StageId, batch: BatchSeq) -> BatchSeq {
        let batch = batch.0;
        let mut complete = vec![batch; self.stages.len()];
        // Stages come after those that they read.
        for row in self.stages {
            let from = row.inputs.iter().flat_map(|input| input.from);
            let from = from.filter_map(|(stage, _)| complete.get(stage.index()).copied()).max();
            let often = lcm(u64::from(row.every.max(1)), u64::from(row.emits_every.max(1)));
            let emitted = from.unwrap_or(batch).next_multiple_of(often);
            if let Some(complete) = complete.get_mut(row.id.index()) {
                *complete = emitted;
            }
        }
        BatchSeq(complete.get(stage.index()).copied().unwrap_or(batch))
    }

    /// Batches whose numbers differ by a multiple of this run tasks of the same stages.
    #[must_use]
    pub fn cycle(&self) -> u64 {
        let every = self.stages.iter().flat_map(|row| [row.every, row.emits_every]);
        every.fold(1, |all, every| lcm(all, u64::from(every.max(1))))
    }
}

/// The least common multiple, saturating.
fn lcm(a: u64, b: u64) -> u64 {
    let (mut gcd, mut rest) = (a, b);
    while rest > 0 {
        (gcd, rest) = (rest, gcd % rest);
    }
    (a / gcd.max(1)).saturating_mul(b)
}

#[cfg(test)]
mod tests {
    use super::super::example::PLAN;
    use super::*;
    use crate::plan::{OperatorRow, Report};

    #[test]
    fn a_plan_rests_when_the_last_pane_has_left_and_the_last_slide_has_come() {
        // A window of 30 batches that slides by 10, read by a stage that runs in every tenth batch.
        assert_eq!((PLAN.rest(1000), PLAN.cycle()), (Some(30 + 9 + 9), 10));
    }

    #[test]
    fn a_window_is_complete_with_its_next_slide() {
        let completes = |stage| move |batch| PLAN.completes(StageId(stage), BatchSeq(batch)).0;
        // It slides by 10, what it reads does not.
        assert_eq!([0, 1, 10, 11, 25].map(completes(2)), [0, 10, 10, 20, 30]);
        assert_eq!([0, 1, 25].map(completes(1)), [0, 1, 25]);
    }

    #[test]
    fn what_counts_nothing_never_rests() {
        let count = OperatorRow { name: "count", line: 7, silent: false, ..PLAN.operators[2] };
        let operators = Box::leak(Box::new([count]));
        let plan = Plan { operators, report: Report { phases: &[], dot: "", code: "" }, ..PLAN };
        assert_eq!(plan.rest(1000), None);
        assert_eq!(plan.emits_from_nothing().collect::<Vec<_>>(), [("count", 7)]);
    }

    #[test]
    fn cycles_are_least_and_never_overflow() {
        assert_eq!((lcm(4, 6), lcm(1, 1), lcm(7, 7)), (12, 1, 7));
        assert_eq!(lcm(u64::MAX - 1, 3_000_000), u64::MAX);
    }
}
