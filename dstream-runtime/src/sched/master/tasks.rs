//! Tasks that have run or failed. No worker is believed about another worker's partition, or about a batch in
//! another epoch than its own.

use super::*;
use crate::guards::{Guard, guard};
use crate::sched::attempt::{MAX_ATTEMPTS, first_attempt, is_speculative};
use crate::sched::message::TaskTally;

impl MasterCore {
    /// Whether a task was this worker's, in that epoch.
    fn is_owner(&self, worker: WorkerId, epoch: Epoch, task: TaskId) -> bool {
        let row = self.epochs.of(task.batch).filter(|row| row.epoch <= epoch);
        row.is_some_and(|row| row.owner(task.partition) == Some(worker))
    }

    /// Whether a worker's report is the one that counts for its task, so that what left the job with the task
    /// is to be taken; ask before the report is handed in.
    #[must_use]
    pub fn accepts(&self, worker: WorkerId, message: &ToMaster) -> bool {
        let ToMaster::TaskDone { epoch, task, attempt, .. } = message else { return false };
        let Some(slot) = self.shape.slot(*task) else { return false };
        let runs = self.runs(worker, *epoch, *task, *attempt);
        let owner = self.members.is_member(worker) && runs;
        let batch = self.batches.iter().find(|batch| batch.seq == task.batch);
        owner
            && batch.is_some_and(
                |batch| matches!(&batch.phase, Phase::Running(running) if !running.is_done(slot)),
            )
    }

    /// Whether a run of a task was this worker's: as its owner, or because it was asked to.
    fn runs(&self, worker: WorkerId, epoch: Epoch, task: TaskId, attempt: Attempt) -> bool {
        match is_speculative(attempt) {
            true => self.is_second(worker, task, attempt),
            false => self.is_owner(worker, epoch, task),
        }
    }

    /// Whether that makes anything else possible: it was the last of its batch, or others are late.
    pub(super) fn task_done(
        &mut self,
        now_ms: u64,
        worker: WorkerId,
        epoch: Epoch,
        (task, attempt): (TaskId, Attempt),
        tally: &TaskTally,
    ) -> bool {
        let Some(slot) = self.shape.slot(task) else { return false };
        if !self.runs(worker, epoch, task, attempt) {
            return false;
        }
        // A run from before the partition was lost says nothing about the one that fails now.
        let is_newer = |current: &Attempt| *current <= attempt;
        if !is_speculative(attempt) && self.failing.get(&task).is_some_and(is_newer) {
            self.failing.remove(&task);
        }
        let is_open = |running: &&mut Running| guard(Guard::TaskCountsOnce, !running.is_done(slot));
        let Some(running) = self.running(task.batch).filter(is_open) else {
            self.also_ran(task, tally.content);
            return self.failed.is_some();
        };
        let counts = running.done(slot);
        let is_last = counts && running.left == 0;
        let source = self.shape.plan.stage(task.stage).source();
        if let Some(source) = source.filter(|source| counts && self.is_live(*source)) {
            self.rate.read(task.batch, source, tally.bytes);
        }
        if is_last {
            self.rate.done(task.batch, now_ms);
        }
        let late = counts && self.counted(now_ms, worker, task, attempt, tally);
        is_last || late
    }

    pub(super) fn task_failed(
        &mut self,
        worker: WorkerId,
        epoch: Epoch,
        task: TaskId,
        attempt: Attempt,
        failure: Failure,
    ) {
        if is_speculative(attempt) {
            return self.second_failed(worker, task, attempt);
        }
        let Some(slot) = self.shape.slot(task).filter(|_| self.is_owner(worker, epoch, task))
        else {
            return;
        };
        let first = first_attempt(&self.restarts, task.batch, task.partition);
        let current = self.failing.get(&task).copied().unwrap_or(first);
        // A task that has run may have to run again for those who need what it made.
        let kept = self.checkpoints.is_some() && (self.oldest()..self.next).contains(&task.batch);
        let open = self.running(task.batch).is_some_and(|running| !running.is_done(slot));
        let counts = kept || open;
        if !counts || attempt != current {
            return;
        }
        let attempts = attempt.0 - first.0 + 1;
        if !failure.again || attempts >= self.config.attempts.min(MAX_ATTEMPTS) {
            let batch = task.batch.max(self.incomplete());
            self.fail(batch, Cause::Task { task, attempts, failure });
            return;
        }
        let attempt = Attempt(attempt.0 + 1);
        let Some(epoch) = self.epochs.of(task.batch).map(|row| row.epoch) else { return };
        self.failing.insert(task, attempt);
        let again = ToWorker::Again { epoch, task, attempt };
        self.actions.push_back(MasterAction::Tell(worker, again));
    }
}
