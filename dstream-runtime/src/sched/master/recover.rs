//! Workers were lost: their partitions go to new owners, and nothing else changes.
//!
//! A partition that a lost worker owned in any batch that is not complete is lost as a whole, and goes to one new
//! owner in all of these: so its states move nowhere while they are made again. The new owners are told from which
//! saved states, and which tasks have not been reported; what else must run again they find out among themselves
//! (see the worker's core). Nothing is cut until every member knows.

use std::collections::BTreeSet;

use super::*;
use crate::guards::{Guard, left_out};
use crate::id::{Partition, StageId};
use crate::sched::message::{PlacementRow, Recover, Resumed, Saved, TaskInput};

/// No more batches than this wait for saved states.
pub(super) const MAX_RETAINED: u64 = 256;
/// How long nothing is saved after something could not be, in milliseconds.
const RETRY_MS: u64 = 1000;

impl MasterCore {
    /// Gives the partitions of lost workers to others, as soon as there is one.
    pub(super) fn recover(&mut self) {
        let there = self.members.owners_to_be().len();
        if self.dead.is_empty() || there < self.gathers as usize {
            return;
        }
        self.gathers = 0;
        let mut candidates = self.members.owners_to_be();
        if candidates.is_empty() {
            // Workers that were to leave are better than none.
            candidates = self.members.iter().map(|(worker, _)| worker).collect();
        }
        let Some(newest) = self.epochs.newest().filter(|_| !candidates.is_empty()) else { return };
        let dead = std::mem::take(&mut self.dead);
        let lost = self.epochs.lost(&dead);
        let epoch = Epoch(self.epochs.last().0 + 1);
        let spread = place(self.shape.partitions, &candidates, &newest.placement, epoch);
        let new_owner = |partition: Partition| {
            let owner = newest.owner(partition).filter(|owner| candidates.contains(owner));
            owner.unwrap_or(spread[partition.index()])
        };
        let new_owner_of: BTreeMap<Partition, WorkerId> =
            lost.iter().map(|p| (*p, new_owner(*p))).collect();
        // Those that own nothing any more are told so.
        let mut told: BTreeSet<WorkerId> = self.epochs.owners().into_iter().collect();
        self.epochs.recover(&new_owner_of);
        let next = self.begun();
        self.restarts.extend(lost.iter().map(|partition| (*partition, (next, epoch))));
        self.failing.retain(|task, _| !new_owner_of.contains_key(&task.partition));
        if let Some(checkpoints) = &mut self.checkpoints {
            let obsolete = checkpoints.lost(&lost).into_iter();
            self.actions.extend(obsolete.map(MasterAction::Obsolete));
        }
        told.extend(self.epochs.owners());
        let told: Vec<WorkerId> =
            told.into_iter().filter(|worker| self.members.is_member(*worker)).collect();
        let row = self.epochs.newest();
        self.members.inherit(|worker| row.is_some_and(|row| row.share(worker) > 0));
        self.members.tell(&told, epoch);
        for worker in told {
            let mine: BTreeSet<_> = new_owner_of
                .iter()
                .filter(|(_, new_owner)| **new_owner == worker)
                .map(|(p, _)| *p)
                .collect();
            let recover = Recover {
                epoch,
                rows: self
                    .epochs
                    .iter()
                    .map(|row| PlacementRow {
                        epoch: row.epoch,
                        first: row.first,
                        placement: row.placement.clone(),
                    })
                    .collect(),
                lost: lost.clone(),
                oldest: self.oldest(),
                next,
                batches: if mine.is_empty() { Vec::new() } else { self.resumed(&mine) },
                states: self.bases(&mine),
            };
            let recover = ToWorker::Recover(Box::new(recover));
            self.actions.push_back(MasterAction::Tell(worker, recover));
        }
    }

    /// The first batch that has not begun.
    fn begun(&self) -> BatchSeq {
        match self.is_cutting() {
            true => BatchSeq(self.next.0 - 1),
            false => self.next,
        }
    }

    /// What new owners must know of the batches that have begun and are not complete.
    fn resumed(&self, mine: &BTreeSet<Partition>) -> Vec<Resumed> {
        let kept = self.kept.iter().map(|(seq, inputs)| (*seq, inputs, None));
        let running = self.batches.iter().filter(|b| !matches!(b.phase, Phase::Cutting(_)));
        let running = running.map(|batch| match &batch.phase {
            Phase::Running(running) => (batch.seq, &batch.inputs, Some(running)),
            _ => (batch.seq, &batch.inputs, None),
        });
        kept.chain(running)
            .map(|(batch, inputs, running)| Resumed {
                batch,
                time: self.config.timetable.end(batch),
                reach: self.intake.reach(batch),
                inputs: inputs.iter().map(|inputs| inputs.len() as u32).collect(),
                ranges: ranges(inputs, mine),
                open: running.map_or(Vec::new(), |running| self.open(batch, running, mine)),
            })
            .collect()
    }

    fn open(
        &self,
        batch: BatchSeq,
        running: &Running,
        mine: &BTreeSet<Partition>,
    ) -> Vec<(StageId, Partition)> {
        let stages = self.shape.plan.stages.iter();
        let open = stages.flat_map(|row| {
            let open = self.open_tasks(batch, row, running).filter(|p| mine.contains(p));
            open.map(|partition| (row.id, partition))
        });
        open.collect()
    }

    fn bases(&self, mine: &BTreeSet<Partition>) -> Vec<Saved> {
        let Some(checkpoints) = &self.checkpoints else { return Vec::new() };
        mine.iter().flat_map(|p| checkpoints.of_partition(*p)).cloned().collect()
    }

    /// A state was saved.
    pub(super) fn saved(&mut self, worker: WorkerId, saved: Saved) -> bool {
        if !self.saves(worker, saved.after, saved.partition) {
            return false;
        }
        let complete = self.checkpoints.as_mut().is_some_and(|all| all.saved(saved));
        if complete {
            self.count();
        }
        complete
    }

    /// Whether a worker may have to save the states of a partition as they are after a batch: as its owner then, or
    /// now, if it is the last one. Who was asked before that was known to be the last one is the owner then.
    fn saves(&self, worker: WorkerId, after: BatchSeq, partition: Partition) -> bool {
        let owns = |row: Option<&epochs::EpochRow>| {
            row.is_some_and(|row| row.owner(partition) == Some(worker))
        };
        owns(self.epochs.of(after)) || self.must_save() && owns(self.epochs.newest())
    }

    /// Whether all that is left to do is to save the states: what clients have pushed goes with the processes
    /// that hold it when the job ends, and one that goes on later could not read it again, not even if it found
    /// the newest states damaged.
    #[must_use]
    pub fn must_save(&self) -> bool {
        let is_over = self.intake.mode() == Mode::Closed && self.batches.is_empty();
        let goes_on = self.failed.is_none() && !self.intake.has_ended();
        let checkpoints = self.checkpoints.as_ref();
        let spare = match left_out(Guard::SavedTwiceAtTheEnd) {
            true => checkpoints.and_then(Checkpoints::base),
            false => checkpoints.and_then(Checkpoints::spare),
        };
        // Without states, what a master after this one does not know to be published is read again.
        let spare = spare.unwrap_or(self.shown);
        is_over && goes_on && !left_out(Guard::SavedAtTheEnd) && self.pushed > spare
    }

    /// Which states are to be saved before the job ends, and are not.
    pub(super) fn unsaved(&self) -> Vec<(String, Partition)> {
        let after = BatchSeq(self.begun().0.saturating_sub(1));
        let unsaved = self.checkpoints.iter().flat_map(|all| all.unsaved(after, self.pushed));
        let name = |stage: StageId| self.shape.plan.stage(stage).name.to_owned();
        unsaved.map(|(stage, partition)| (name(stage), partition)).collect()
    }

    /// A state could not be saved.
    pub(super) fn not_saved(
        &mut self,
        now_ms: u64,
        worker: WorkerId,
        state: (StageId, Partition),
        after: BatchSeq,
    ) {
        if self.saves(worker, after, state.1)
            && let Some(checkpoints) = &mut self.checkpoints
        {
            let obsolete = checkpoints.not_saved(state, after, now_ms.saturating_add(RETRY_MS));
            self.actions.extend(obsolete.into_iter().map(MasterAction::Obsolete));
        }
    }

    /// The last batch that is published, with all before it.
    fn published_up_to(&self) -> BatchSeq {
        let open = self.batches.front().map_or(self.next, |batch| batch.seq);
        BatchSeq(open.0.saturating_sub(1))
    }

    /// Saved states that count by now are written down as such. Nothing follows before that is durable.
    pub(super) fn count(&mut self) {
        let published = self.published_up_to();
        let Some(checkpoints) = &mut self.checkpoints else { return };
        for (group, states) in checkpoints.published(published) {
            let entry = JournalEntry::Saved { states };
            self.actions.push_back(MasterAction::Persist(self.journal.saved(group), entry));
        }
    }

    /// Batches that are over by now are let go everywhere.
    pub(super) fn let_go(&mut self) {
        let before = self.oldest();
        let base = self.checkpoints.as_ref().and_then(Checkpoints::base);
        // Without states, what a master after this one does not know to be published.
        let base = base.unwrap_or(self.shown);
        while self.kept.pop_front_if(|(seq, _)| *seq <= base).is_some() {}
        let oldest = self.oldest();
        self.config.timetable.forget(oldest);
        self.intake.forget(oldest);
        if oldest <= before {
            return;
        }
        self.release(oldest);
    }

    /// Has states saved, if it is their turn: after the newest batch that has begun.
    pub(super) fn checkpoint(&mut self, now_ms: u64) -> Option<u64> {
        let after = BatchSeq(self.begun().0 - 1);
        let (full, last) = (self.is_full(), self.must_save());
        let begins = after > self.checkpointed;
        if self.failed.is_some()
            || (!begins && !full && !last)
            || !self.dead.is_empty()
            || after < self.config.first
        {
            return None;
        }
        if self.epochs.newest().is_none_or(|row| row.first > after && !last) {
            // States move already; the next batch will be cut.
            return None;
        }
        self.checkpointed = after;
        let waits = self.next.0 - self.oldest().0 > MAX_RETAINED / 2;
        let urgent = waits || self.epochs.is_moving();
        let checkpoints = self.checkpoints.as_mut()?;
        let states = match last {
            true => checkpoints.last(after, self.pushed, now_ms),
            false => checkpoints.next(after, urgent, now_ms),
        };
        let retry = checkpoints.retry_at(now_ms).filter(|_| full || last);
        let row = if last { self.epochs.newest() } else { self.epochs.of(after) };
        let Some(row) = row.filter(|_| !states.is_empty()) else { return retry };
        let mut by_owner: BTreeMap<WorkerId, Vec<_>> = BTreeMap::new();
        for state in states {
            if let Some(owner) = row.owner(state.partition) {
                by_owner.entry(owner).or_default().push(state);
            }
        }
        for (owner, states) in by_owner {
            let checkpoint = ToWorker::Checkpoint { epoch: row.epoch, after, states };
            self.actions.push_back(MasterAction::Tell(owner, checkpoint));
        }
        retry
    }

    /// Whether a state is being saved, or was and does not durably count yet.
    #[must_use]
    pub fn is_saving(&self) -> bool {
        self.checkpoints.as_ref().is_some_and(Checkpoints::is_saving)
    }

    /// Whether as many batches as may be wait for saved states.
    pub(super) fn is_full(&self) -> bool {
        self.checkpoints.is_some() && self.next.0.saturating_sub(self.oldest().0) >= MAX_RETAINED
    }
}

/// What the tasks of some partitions read.
fn ranges(inputs: &[Vec<Vec<Range>>], mine: &BTreeSet<Partition>) -> Vec<TaskInput> {
    let sources = (0..).map(SourceId).zip(inputs);
    let inputs = sources.flat_map(|(source, inputs)| {
        let of = (0..).map(Partition).zip(inputs).filter(|(p, _)| mine.contains(p));
        of.map(move |(partition, ranges)| TaskInput { source, partition, ranges: ranges.clone() })
    });
    inputs.collect()
}
