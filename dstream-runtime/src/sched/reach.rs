//! How far a source has come, batch by batch: as steps, since it rarely changes.

use serde::{Deserialize, Serialize};

use crate::id::BatchSeq;
use crate::source::Reach;

/// From which batch on a source had come how far, ascending. A step holds until the next one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ReachSteps(Vec<(BatchSeq, Reach)>);

impl ReachSteps {
    /// It has come so far with this batch, which is later than those before.
    pub(super) fn step(&mut self, batch: BatchSeq, reach: Reach) {
        if self.0.last().is_none_or(|(_, before)| *before != reach) {
            self.0.push((batch, reach));
        }
    }

    /// How far it had come with a batch; none of one before the first step.
    pub(super) fn by(&self, batch: BatchSeq) -> Option<Reach> {
        let step = self.0.iter().rev().find(|(from, _)| *from <= batch);
        step.map(|(_, reach)| *reach)
    }

    /// Whether it has ended by itself.
    pub(super) fn has_ended(&self) -> bool {
        self.ended().is_some()
    }

    /// The batch with which it has ended by itself.
    pub(super) fn ended(&self) -> Option<BatchSeq> {
        self.0.last().filter(|(_, reach)| *reach == Reach::Ended).map(|(batch, _)| *batch)
    }

    /// Batches before this one are not asked for any more.
    pub(super) fn forget(&mut self, oldest: BatchSeq) {
        let last = self.0.iter().rposition(|(from, _)| *from <= oldest);
        self.0.drain(..last.unwrap_or(0));
    }

    /// Adds the steps of an earlier master.
    pub(super) fn resume(&mut self, past: &Self) {
        self.0.extend_from_slice(&past.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_holds_until_the_next_one_also_when_older_ones_are_forgotten() {
        let mut steps = ReachSteps::default();
        for (batch, reach) in [
            (1, Reach::Waiting),
            (2, Reach::Waiting),
            (3, Reach::Live),
            (5, Reach::Waiting),
            (6, Reach::Live),
        ] {
            steps.step(BatchSeq(batch), reach);
        }
        let by = |steps: &ReachSteps| [0, 1, 2, 3, 4, 5, 9].map(|batch| steps.by(BatchSeq(batch)));
        let (waiting, live) = (Some(Reach::Waiting), Some(Reach::Live));
        assert_eq!(by(&steps), [None, waiting, waiting, live, live, waiting, live]);
        steps.forget(BatchSeq(4));
        assert_eq!(by(&steps), [None, None, None, live, live, waiting, live]);
        assert!(!steps.has_ended());
    }
}
