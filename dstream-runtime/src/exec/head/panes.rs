//! The panes of a window: what a batch brought, kept while some window can still span it.

use std::collections::VecDeque;

use crate::id::BatchSeq;
use crate::store::KeptBlock;

/// The length of a window in batches. Slide and parent's slide are in the plan: they say in which
/// batches the stage has tasks and emits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Number of batches that a window looks back, its own included.
    pub batches: u64,
}

/// Panes in batch order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Panes(VecDeque<Pane>);

/// What one batch brought.
#[derive(Debug, Clone)]
pub(crate) struct Pane {
    pub(crate) batch: BatchSeq,
    pub(crate) blocks: Vec<KeptBlock>,
}

impl Panes {
    /// Adds the newest pane, unless it is empty.
    pub(crate) fn push(&mut self, pane: Pane) {
        if !pane.blocks.is_empty() {
            self.0.push_back(pane);
        }
    }

    /// All panes, oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Pane> {
        self.0.iter()
    }

    /// The newest pane.
    pub(crate) fn newest_mut(&mut self) -> Option<&mut Pane> {
        self.0.back_mut()
    }

    /// The oldest panes, as far as the window that ends with batch `now` does not span them any more.
    pub(crate) fn leaving(&self, now: BatchSeq, span: Span) -> impl Iterator<Item = &Pane> {
        self.0.iter().take_while(move |pane| pane.batch.0 + span.batches <= now.0)
    }

    /// Forgets the panes that have left.
    pub(crate) fn forget(&mut self, now: BatchSeq, span: Span) {
        while self.0.front().is_some_and(|pane| pane.batch.0 + span.batches <= now.0) {
            self.0.pop_front();
        }
    }

    /// The panes that the window which ends with batch `now` spans, oldest first.
    pub(crate) fn spanned(
        &self,
        now: BatchSeq,
        span: Span,
    ) -> impl DoubleEndedIterator<Item = &Pane> {
        self.0.iter().filter(move |pane| pane.batch.0 + span.batches > now.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pane_leaves_when_the_window_has_passed_it() {
        let (span, mut panes) = (Span { batches: 3 }, Panes::default());
        for batch in [1, 2, 5] {
            panes.0.push_back(Pane { batch: BatchSeq(batch), blocks: Vec::new() });
        }
        let spanned = |panes: &Panes, now| {
            panes.spanned(BatchSeq(now), span).map(|p| p.batch.0).collect::<Vec<_>>()
        };
        assert_eq!(spanned(&panes, 3), [1, 2, 5]);
        assert_eq!(spanned(&panes, 4), [2, 5]);
        assert_eq!(spanned(&panes, 5), [5]);
        panes.forget(BatchSeq(5), span);
        assert_eq!(panes.0.len(), 1);
        assert_eq!(panes.leaving(BatchSeq(8), span).count(), 1);
    }
}
