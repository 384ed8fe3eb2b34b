//! Acknowledged records that are lost: which batches need them, and the end of a job that cannot go on.
//!
//! Pushed records cannot be read again from anywhere but the workers that hold them. A batch needs its own until all
//! its tasks have run and every state that is made from it is saved.

use std::collections::BTreeSet;

use super::*;
use crate::guards::{Guard, left_out};
use crate::id::StageId;
use crate::sched::message::{HolderChange, Loss};
use crate::source::receive::receiver_of;
use crate::time::BatchTime;

impl MasterCore {
    /// The ranges of pushed records that tasks would read if no worker were left, by batch. Batches that are
    /// published are needed only for states that are not saved yet.
    pub fn needed(&self) -> impl Iterator<Item = (BatchSeq, SourceId, &Range)> {
        let bases: Vec<Option<BatchSeq>> = (0..self.config.live.len())
            .map(|source| self.oldest_base(SourceId(source as u16)))
            .collect();
        let kept = self.kept.iter().map(|(seq, inputs)| (*seq, inputs, false));
        let in_flight = self.batches.iter().filter_map(|batch| match &batch.phase {
            Phase::Cutting(_) => None,
            Phase::Running(running) => Some((batch.seq, &batch.inputs, running.left > 0)),
            _ => Some((batch.seq, &batch.inputs, false)),
        });
        kept.chain(in_flight).flat_map(move |(seq, inputs, is_open)| {
            let sources = (0..).map(SourceId).zip(inputs).zip(bases.clone());
            let needed = sources
                .filter(move |(_, base)| is_open || base.is_some_and(|base| base < seq))
                .map(|(source, _)| source);
            needed.flat_map(move |(source, inputs)| {
                let ranges = inputs.iter().flatten();
                let pushed = ranges.filter(|range| receiver_of(&range.split).is_some());
                pushed.map(move |range| (seq, source, range))
            })
        })
    }

    /// The last batch in the oldest saved state that is made from a source; none if no state is.
    fn oldest_base(&self, source: SourceId) -> Option<BatchSeq> {
        let plan = self.shape.plan;
        let mut made: BTreeSet<StageId> = BTreeSet::new();
        // Stages come after those that they read.
        for row in plan.stages {
            let mut from = row.inputs.iter().flat_map(|input| input.from);
            if row.source() == Some(source) || from.any(|(stage, _)| made.contains(stage)) {
                made.insert(row.id);
            }
        }
        self.checkpoints.as_ref()?.oldest_of(&made)
    }

    /// When the interval of a batch begins.
    #[must_use]
    pub fn begins(&self, batch: BatchSeq) -> BatchTime {
        self.config.timetable.end(BatchSeq(batch.0.saturating_sub(1)))
    }

    /// A worker is about to join. Another one may give it the only copy of something at once: a later master must know of
    /// it, or would not wait for it.
    pub(super) fn holder_comes(&mut self, worker: WorkerId, name: String, inside: bool) {
        let at_once = left_out(Guard::HolderIsWritten);
        if self.checkpoints.is_none() || at_once {
            self.actions.push_back(MasterAction::Admit(worker));
        }
        if self.checkpoints.is_some() {
            let entry = JournalEntry::Holder(HolderChange::Comes { name, inside });
            let at = if at_once { self.journal.note() } else { self.journal.comes(worker) };
            self.actions.push_back(MasterAction::Persist(at, entry));
        }
    }

    /// Something else becomes known of holders.
    pub(super) fn holder_changes(&mut self, change: HolderChange) {
        self.write(JournalEntry::Holder(change));
    }

    /// What is lost is written down. A job that is not to go on without it ends after the
    /// batches that are complete.
    pub(super) fn lost_records(&mut self, rows: Vec<LostRow>, how: Loss) {
        if self.failed.is_some() {
            return;
        }
        // Without it, the next master would miss what this one goes on without, or wait for it once more.
        if self.checkpoints.is_some() && !left_out(Guard::LossIsWritten) {
            let entry = JournalEntry::Lost { rows: rows.clone(), how };
            self.actions.push_back(MasterAction::Persist(self.journal.note(), entry));
        }
        if how != Loss::Accepted {
            self.fail(self.incomplete(), Cause::Lost { rows });
        }
    }
}
