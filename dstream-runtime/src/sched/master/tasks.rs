//! Tasks that have run or failed. Nobody is believed about another worker's partition, or about a batch
//! in another epoch than its own.

use super::*;

impl MasterCore {
    /// Whether a task was this worker's, in that epoch.
    fn is_owner(&self, worker: WorkerId, epoch: Epoch, task: TaskId) -> bool {
        let row = self.epochs.of(task.batch).filter(|row| row.epoch == epoch);
        row.is_some_and(|row| row.owner(task.partition) == Some(worker))
    }

    /// Whether that was the last of its batch.
    pub(super) fn task_done(&mut self, worker: WorkerId, epoch: Epoch, task: TaskId) -> bool {
        if !self.is_owner(worker, epoch, task) {
            return false;
        }
        let Some(slot) = self.shape.slot(task) else { return false };
        let Some(running) = self.running(task.batch) else { return false };
        let counts = running.done(slot);
        let last = counts && running.left == 0;
        if counts && !self.failing.is_empty() {
            self.failing.remove(&task);
        }
        last
    }

    pub(super) fn task_failed(
        &mut self,
        worker: WorkerId,
        epoch: Epoch,
        task: TaskId,
        attempt: Attempt,
        failure: Failure,
    ) {
        let Some(slot) = self.shape.slot(task).filter(|_| self.is_owner(worker, epoch, task))
        else {
            return;
        };
        let current = self.failing.get(&task).copied().unwrap_or_default();
        let counts = self.running(task.batch).is_some_and(|running| !running.is_done(slot));
        if !counts || attempt != current {
            return;
        }
        let attempts = attempt.0 + 1;
        if !failure.again || attempts >= self.config.attempts {
            self.fail(task.batch, Cause::Task { task, attempts, failure });
            return;
        }
        let attempt = Attempt(attempts);
        self.failing.insert(task, attempt);
        let again = ToWorker::Again { epoch, task, attempt };
        self.actions.push_back(MasterAction::Tell(worker, again));
    }
}
