//! The life of one batch, one variant per phase:
//!
//! ```text
//! Cutting ──► Running ──► Committing ──► Committed ──► Publishing ──► (gone)
//!   sources     tasks       journal        its turn       sinks
//!   answer      run         writes         comes          take it
//! ```
//!
//! A phase holds what only it needs, so what has not happened yet cannot be used.

use super::journal::{CommitToken, CutToken};
use crate::bits::Bits;
use crate::guards::{Guard, guard};
use crate::id::{BatchSeq, SourceId};
use crate::source::Range;

/// A batch in flight.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) seq: BatchSeq,
    /// When its sources were asked.
    pub(super) since_ms: u64,
    pub(super) phase: Phase,
    /// Its inputs, if a new owner may have to know them.
    pub(super) inputs: Vec<Vec<Vec<Range>>>,
}

#[derive(Debug)]
pub(super) enum Phase {
    Cutting(Cutting),
    Running(Running),
    Committing,
    Committed(CommitToken),
    Publishing,
}

/// Sources have been asked.
#[derive(Debug)]
pub(super) struct Cutting {
    /// Per source what it brought; none while it has not answered.
    brought: Vec<Option<Vec<Vec<Range>>>>,
    /// Whether sources were told to stop before they were asked.
    pub(super) drains: bool,
}

impl Cutting {
    /// Asks `asked` out of `sources` sources; the others bring nothing.
    pub(super) fn new(sources: usize, asked: impl Iterator<Item = SourceId>, drains: bool) -> Self {
        let mut brought = vec![Some(Vec::new()); sources];
        asked.for_each(|source| brought[source.index()] = None);
        Self { brought, drains }
    }

    pub(super) fn waits_for(&self, source: SourceId) -> bool {
        self.brought.get(source.index()).is_some_and(Option::is_none)
    }

    pub(super) fn answer(&mut self, source: SourceId, inputs: Vec<Vec<Range>>) {
        if self.waits_for(source) {
            self.brought[source.index()] = Some(inputs);
        }
    }

    /// The sources that have not answered.
    pub(super) fn unanswered(&self) -> impl Iterator<Item = SourceId> {
        let brought = (0..).map(SourceId).zip(&self.brought);
        brought.filter(|(_, brought)| brought.is_none()).map(|(source, _)| source)
    }

    /// What all sources brought, once they have all answered.
    pub(super) fn complete(&mut self) -> Option<Vec<Vec<Vec<Range>>>> {
        self.brought
            .iter()
            .all(Option::is_some)
            .then(|| std::mem::take(&mut self.brought).into_iter().flatten().collect())
    }
}

/// Tasks run.
#[derive(Debug)]
pub(super) struct Running {
    /// Per stage how many tasks it has.
    pub(super) tasks: Vec<u32>,
    /// Tasks that have not been reported.
    pub(super) left: usize,
    /// Tasks that have.
    done: Bits,
    /// The cut is durable.
    pub(super) cut: Option<CutToken>,
}

impl Running {
    pub(super) fn new(tasks: Vec<u32>, slots: usize) -> Self {
        let mut done = Bits::default();
        done.reset(slots);
        let left = tasks.iter().map(|tasks| *tasks as usize).sum();
        Self { tasks, left, done, cut: None }
    }

    /// Counts a task, once.
    pub(super) fn done(&mut self, slot: usize) -> bool {
        let new = self.left > 0 && guard(Guard::TaskCountsOnce, self.done.insert(slot));
        self.left -= usize::from(new);
        new
    }

    /// Which part of its tasks has not run, in thousandths.
    pub(super) fn part_left(&self) -> u64 {
        let all: u64 = self.tasks.iter().map(|tasks| u64::from(*tasks)).sum();
        self.left as u64 * 1000 / all.max(1)
    }

    pub(super) fn is_done(&self, slot: usize) -> bool {
        self.done.contains(slot)
    }
}
