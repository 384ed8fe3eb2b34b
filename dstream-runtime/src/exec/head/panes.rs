//! The panes of a window: what a batch brought, kept while some window can still span it; and which batches have
//! changed them since they were marked, which is done whenever they are saved.
//!
//! Two marks are kept, since a saved state continues the one before the last one (see
//! `sched::master::checkpoints`). Invariant: all panes that came since a mark that is kept are there still, so what
//! is known since then makes the panes of today out of those of the mark.

use std::collections::VecDeque;

use super::touched::MARKS;
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
#[derive(Debug, Default)]
pub(super) struct Panes {
    panes: VecDeque<Pane>,
    /// The batches whose tasks have run since each of the last marks, up to the next one.
    steps: VecDeque<Vec<BatchSeq>>,
}

/// What one batch brought.
#[derive(Debug, Clone)]
pub(crate) struct Pane {
    pub(crate) batch: BatchSeq,
    pub(crate) blocks: Vec<KeptBlock>,
}

impl Panes {
    /// The task of a batch has run: takes in what that brought, and forgets the panes that have left.
    pub(crate) fn step(&mut self, batch: BatchSeq, blocks: Vec<KeptBlock>, span: Span) {
        self.push(Pane { batch, blocks });
        let has_left = |first: &BatchSeq| first.0 + span.batches <= batch.0;
        while self.panes.pop_front_if(|pane| has_left(&pane.batch)).is_some() {}
        if let Some(last) = self.steps.back_mut() {
            last.push(batch);
        }
        // What came since such a mark is not there any more.
        while self.steps.iter().flatten().next().is_some_and(has_left) {
            self.steps.pop_front();
        }
    }

    /// Adds the newest pane, unless it is empty.
    pub(super) fn push(&mut self, pane: Pane) {
        if !pane.blocks.is_empty() {
            self.panes.push_back(pane);
        }
    }

    /// All panes, oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Pane> {
        self.panes.iter()
    }

    /// The newest pane.
    pub(crate) fn newest_mut(&mut self) -> Option<&mut Pane> {
        self.panes.back_mut()
    }

    /// The oldest panes, as far as the window that ends with batch `now` does not span them any more.
    pub(crate) fn leaving(&self, now: BatchSeq, span: Span) -> impl Iterator<Item = &Pane> {
        self.panes.iter().take_while(move |pane| pane.batch.0 + span.batches <= now.0)
    }

    /// The panes that the window which ends with batch `now` spans, oldest first.
    pub(crate) fn spanned(
        &self,
        now: BatchSeq,
        span: Span,
    ) -> impl DoubleEndedIterator<Item = &Pane> {
        self.panes.iter().filter(move |pane| pane.batch.0 + span.batches > now.0)
    }

    /// The panes are marked.
    pub(super) fn mark(&mut self) {
        if self.steps.len() == MARKS {
            self.steps.pop_front();
        }
        self.steps.push_back(Vec::new());
    }

    /// Forgets all marks.
    pub(super) fn unmark(&mut self) {
        self.steps.clear();
    }

    /// The batches whose tasks have run since the last mark but one, and what they brought. None if there was no
    /// such mark, or it is so long ago that some of that is gone.
    pub(super) fn since_last_but_one(
        &self,
    ) -> Option<(Vec<BatchSeq>, impl Iterator<Item = &Pane>)> {
        if self.steps.len() < MARKS {
            return None;
        }
        let steps: Vec<BatchSeq> = self.steps.iter().flatten().copied().collect();
        let first = steps.first().copied();
        let panes = self.panes.iter().filter(move |p| first.is_some_and(|first| p.batch >= first));
        Some((steps, panes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::Block;
    use crate::block::BufferPool;

    fn block() -> KeptBlock {
        let mut buffer = BufferPool::new(0).take(1);
        buffer.bytes_mut().extend_from_slice(b"x");
        Block::raw(buffer).into()
    }

    fn batches<'p>(panes: impl Iterator<Item = &'p Pane>) -> Vec<u64> {
        panes.map(|pane| pane.batch.0).collect()
    }

    #[test]
    fn a_pane_leaves_when_the_window_has_passed_it() {
        let (span, mut panes) = (Span { batches: 3 }, Panes::default());
        for batch in [1, 2, 5] {
            panes.push(Pane { batch: BatchSeq(batch), blocks: vec![block()] });
        }
        let spanned = |panes: &Panes, now| batches(panes.spanned(BatchSeq(now), span));
        assert_eq!(spanned(&panes, 3), [1, 2, 5]);
        assert_eq!(spanned(&panes, 4), [2, 5]);
        assert_eq!(spanned(&panes, 5), [5]);
        panes.step(BatchSeq(6), Vec::new(), span);
        assert_eq!(batches(panes.iter()), [5]);
        assert_eq!(panes.leaving(BatchSeq(8), span).count(), 1);
    }

    #[test]
    fn what_came_since_the_last_mark_but_one_is_known_while_it_is_there() {
        let (span, mut panes) = (Span { batches: 4 }, Panes::default());
        let since = |panes: &Panes| {
            let (steps, new) = panes.since_last_but_one()?;
            Some((steps.iter().map(|batch| batch.0).collect::<Vec<_>>(), batches(new)))
        };
        let step = |panes: &mut Panes, batch: u64| {
            let blocks = if [1, 3, 7].contains(&batch) { vec![block()] } else { vec![] };
            panes.step(BatchSeq(batch), blocks, span);
        };
        step(&mut panes, 1);
        panes.mark();
        step(&mut panes, 2);
        assert_eq!(since(&panes), None, "there was one mark");
        panes.mark();
        step(&mut panes, 3);
        assert_eq!(since(&panes), Some((vec![2, 3], vec![3])));
        panes.mark();
        assert_eq!(since(&panes), Some((vec![3], vec![3])));
        step(&mut panes, 6);
        assert_eq!(since(&panes), Some((vec![3, 6], vec![3])));
        step(&mut panes, 7);
        assert_eq!(since(&panes), None, "the pane of batch 3 has left");
        panes.mark();
        assert_eq!(since(&panes), Some((vec![6, 7], vec![7])));
    }
}
