//! Workers that come, go and are lost, and the epochs that follow.
//!
//! An epoch has at least one batch, so however many come and go there is one placement per batch at most; and
//! nothing waits for it but the next cut, for as long as a message takes to all members and back.

use super::*;
use crate::guards::{Guard, guard};
use crate::id::{Partition, StageId};

impl MasterCore {
    /// Takes in what a worker says. Whether anything else may have become possible.
    pub(super) fn worker(&mut self, now_ms: u64, worker: WorkerId, message: ToMaster) -> bool {
        if let ToMaster::Joined { slots } = message {
            self.members.joined(worker, slots, now_ms);
            return true;
        }
        if !self.members.is_member(worker) {
            return false;
        }
        self.members.heard(worker, now_ms);
        match message {
            ToMaster::TaskDone { epoch, task, attempt, tally } => {
                self.task_done(now_ms, worker, epoch, (task, attempt), &tally)
            }
            ToMaster::AlsoRan { epoch: _, task, content } => {
                self.also_ran(task, content);
                self.failed.is_some()
            }
            ToMaster::TaskFailed { epoch, task, attempt, failure } => {
                self.task_failed(worker, epoch, task, attempt, failure);
                true
            }
            ToMaster::Placed { epoch } => {
                self.members.placed(worker, epoch);
                self.members.all_placed()
            }
            ToMaster::Settled { epoch } => {
                self.members.settle(worker, epoch);
                self.epochs.is_moving() && self.retire()
            }
            ToMaster::Saved(saved) => self.saved(worker, saved),
            ToMaster::NotSaved { stage, partition, after } => {
                self.not_saved(now_ms, worker, (stage, partition), after);
                true
            }
            ToMaster::NotLoaded { stage, partition, why } => {
                self.not_loaded(worker, stage, partition, why);
                true
            }
            ToMaster::Heartbeat { engine } => {
                if let Some(stragglers) = &mut self.stragglers {
                    stragglers.engines.ran(worker, engine);
                }
                false
            }
            ToMaster::Joined { .. } => false,
        }
    }

    /// Lets epochs go that nothing depends on any more. Whether there was one.
    pub(super) fn retire(&mut self) -> bool {
        let (oldest, members) = (self.oldest(), &self.members);
        self.epochs.retire(oldest, |worker| members.settled(worker))
    }

    /// Places the partitions anew if that is due: when members have changed, between two cuts, and when every
    /// member knows the placement before.
    pub(super) fn place(&mut self) {
        let begins = match self.epochs.newest() {
            Some(row) => self.next > row.first || row.first == self.config.first,
            None => self.members.owners_to_be().len() >= self.wants() as usize,
        };
        let placed = self.members.all_placed() && self.dead.is_empty();
        // What is full waits for states to be saved, which must not move meanwhile.
        let calm = !self.is_cutting() && !self.is_full() && placed && self.epochs.has_room();
        let closed = self.intake.mode() == Mode::Closed;
        if !self.members.changed() || !begins || !calm || closed {
            return;
        }
        let owners = self.members.owners_to_be();
        let before = self.epochs.newest().map_or(Vec::new(), |row| row.placement.to_vec());
        let epoch = Epoch(self.epochs.last().0 + 1);
        let weights = self.weights(&owners);
        let placement = place_by_weight(self.shape.partitions, &owners, &weights, &before, epoch);
        if placement.is_empty() {
            return;
        }
        let moved = placement != before;
        if moved {
            self.epochs.push(self.next, placement);
        }
        let Some(row) = self.epochs.newest() else { return };
        self.members.place(|worker| row.share(worker) > 0);
        if !moved {
            return self.say_slow();
        }
        let mut told: BTreeSet<WorkerId> = self.epochs.owners().into_iter().collect();
        // Those too that were given partitions by a placement that does not hold any more.
        told.append(&mut self.cleared);
        let told: Vec<_> = told.into_iter().filter(|w| self.members.is_member(*w)).collect();
        self.members.tell(&told, epoch);
        for worker in told {
            let (placement, first) = (row.placement.clone(), row.first);
            let place = ToWorker::Place { epoch, placement, first, start: self.config.first };
            self.actions.push_back(MasterAction::Tell(worker, place));
        }
        self.say_slow();
    }

    /// How many workers must be there for a placement while there is none. Those that were placed once, and can go
    /// on without one of them, need not wait for another.
    pub(super) fn wants(&self) -> u32 {
        let goes_on = self.checkpoints.is_some() && !self.cleared.is_empty();
        if goes_on { 1 } else { self.config.workers.max(1) }
    }

    /// A worker is asked to leave.
    pub(super) fn drain(&mut self, worker: WorkerId) {
        if !self.members.is_member(worker) {
            return;
        }
        if self.epochs.owns(worker) && !self.members.has_other(worker) {
            let why = "it is the only worker, and there is no other worker to hand over to: start another \
                       worker first, or stop the job"
                .to_owned();
            return self.actions.push_back(MasterAction::Refuse { worker, why });
        }
        self.members.drain(worker);
    }

    /// Lets those go that were asked to leave and hold nothing any more.
    pub(super) fn dismiss(&mut self, now_ms: u64) {
        for worker in self.members.draining() {
            if guard(Guard::LeavesEmpty, !self.epochs.owns(worker)) {
                self.members.remove(worker, "it was drained", now_ms);
                self.actions.push_back(MasterAction::Dismiss(worker));
            }
        }
    }

    /// A state that is needed cannot be read: nothing can go on with it.
    fn not_loaded(&mut self, worker: WorkerId, stage: StageId, partition: Partition, why: String) {
        let is_owner = |row: &epochs::EpochRow| row.owner(partition) == Some(worker);
        if !self.epochs.iter().any(is_owner) {
            return;
        }
        self.fail(self.incomplete(), Cause::State { stage, partition, why });
    }

    /// A worker's connection is gone.
    pub(super) fn left(&mut self, now_ms: u64, worker: WorkerId, why: String) {
        if self.members.remove(worker, &why, now_ms) {
            self.lost(worker, why);
        }
    }

    /// Workers whose lease is over are out.
    pub(super) fn evict(&mut self, now_ms: u64) {
        for (worker, silent) in self.members.expired(now_ms) {
            let why = format!("it was silent for {silent} ms");
            self.members.remove(worker, &why, now_ms);
            self.actions.push_back(MasterAction::Evict(worker, why.clone()));
            self.lost(worker, why);
        }
    }

    /// A worker is gone that was not let go: here is decided what becomes of its partitions. Where states are
    /// saved, others go on with them; else the job ends after the batches that were complete.
    fn lost(&mut self, worker: WorkerId, why: String) {
        if !self.epochs.owns(worker) {
            return;
        }
        if self.next == self.config.first && self.kept.is_empty() {
            // No batch has been cut: there is nothing to lose yet.
            self.cleared.extend(self.epochs.owners());
            self.epochs.clear();
            return self.members.unplace();
        }
        if self.checkpoints.is_some() {
            self.dead.insert(worker);
            return;
        }
        let first = self.incomplete();
        // All that there is to do may have been done.
        if first < self.next || self.intake.mode() != Mode::Closed {
            self.fail(first, Cause::Worker { worker, why });
        }
    }

    /// The first batch with something to do.
    pub(super) fn incomplete(&self) -> BatchSeq {
        let incomplete = |batch: &&Batch| match &batch.phase {
            Phase::Cutting(_) => true,
            Phase::Running(running) => running.left > 0,
            Phase::Committing | Phase::Committed(_) | Phase::Publishing => false,
        };
        self.batches.iter().find(incomplete).map_or(self.next, |batch| batch.seq)
    }
}
