//! Transfers of blocks of tasks to other processes, and when they are not needed any more.
//!
//! Decides which of them are given up: those of batches that are over or will never be published, those of
//! a run that another one of the same task came before, and those to a process that is gone. A transfer that
//! is given up is reset, its blocks are let go here, and what has come of it is thrown away there.
//!
//! It never gives up what the owner of a task sends because another run of the task counts: the owner answers those
//! that ask for what they miss, above all after a recovery, and no other worker would (the simulation of losses
//! finds a job that waits for ever). A process that can ask the owner does not need the second run, so that one is
//! given up.
//!
//! Invariant: the process that it is sent to may still need each transfer in here.

use crate::block::DecodeError;
use crate::id::{Attempt, BatchSeq, TaskId};
use crate::net::{PeerId, Transfer};
use crate::sched::is_speculative;

/// What a transfer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Purpose {
    pub(super) to: PeerId,
    pub(super) task: TaskId,
    /// The run of it, if the blocks are what it made for other tasks: input and parts of outputs are
    /// wanted as long as the batch is.
    pub(super) attempt: Option<Attempt>,
}

/// Transfers that are under way.
#[derive(Debug)]
pub(super) struct Transfers<T = Transfer> {
    under_way: Vec<(Purpose, T)>,
    /// Batches before this one are over.
    oldest: BatchSeq,
    /// This one, and all after it, will never be published.
    abandoned: Option<BatchSeq>,
}

impl<T> Default for Transfers<T> {
    fn default() -> Self {
        Self { under_way: Vec::new(), oldest: BatchSeq(0), abandoned: None }
    }
}

impl<T> Transfers<T> {
    /// Blocks are on their way, unless they were late already.
    pub(super) fn add(&mut self, purpose: Purpose, transfer: T) {
        if self.needs(purpose.task.batch) {
            self.under_way.push((purpose, transfer));
        }
    }

    /// Whether anything of a batch is still needed.
    pub(super) fn needs(&self, batch: BatchSeq) -> bool {
        batch >= self.oldest && self.abandoned.is_none_or(|from| batch < from)
    }

    /// Batches before this one are over. Whether that is news.
    pub(super) fn over(&mut self, oldest: BatchSeq) -> bool {
        let is_news = oldest > self.oldest;
        if is_news {
            self.oldest = oldest;
            self.tidy_batches();
        }
        is_news
    }

    /// This batch, and all after it, will never be published.
    pub(super) fn abandon(&mut self, from: BatchSeq) {
        let before = self.abandoned.unwrap_or(from);
        self.abandoned = Some(from.min(before));
        self.tidy_batches();
    }

    fn tidy_batches(&mut self) {
        let mut under_way = std::mem::take(&mut self.under_way);
        under_way.retain(|(purpose, _)| self.needs(purpose.task.batch));
        self.under_way = under_way;
    }

    /// Another run of a task counts.
    pub(super) fn outrun(&mut self, task: TaskId) {
        let is_second =
            |purpose: &Purpose| purpose.task == task && purpose.attempt.is_some_and(is_speculative);
        self.under_way.retain(|(purpose, _)| !is_second(purpose));
    }

    /// A process is gone.
    pub(super) fn gone(&mut self, peer: PeerId) {
        self.under_way.retain(|(purpose, _)| purpose.to != peer);
    }
}

impl Transfers {
    /// Forgets those that are through, or whose receiver does not want them.
    ///
    /// # Errors
    /// When a block could not be read from the file that it had gone to.
    pub(super) fn tidy(&mut self) -> Result<(), DecodeError> {
        let mut unreadable = None;
        self.under_way.retain(|(_, transfer)| {
            if unreadable.is_none() {
                unreadable = transfer.unreadable().copied();
            }
            !transfer.is_done() && !transfer.has_failed()
        });
        unreadable.map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{Partition, StageId};
    use crate::sched::speculative;

    fn task(batch: u64, partition: u32) -> TaskId {
        TaskId { batch: BatchSeq(batch), stage: StageId(0), partition: Partition(partition) }
    }

    fn purpose(to: u64, task: TaskId, attempt: Option<Attempt>) -> Purpose {
        Purpose { to: PeerId(to), task, attempt }
    }

    fn left(transfers: &Transfers<&'static str>) -> Vec<&'static str> {
        transfers.under_way.iter().map(|(_, name)| *name).collect()
    }

    #[test]
    fn transfers_for_batches_that_are_not_needed_are_given_up() {
        let mut transfers = Transfers::default();
        for (batch, name) in [(1, "one"), (2, "two"), (3, "three"), (4, "four")] {
            transfers.add(purpose(0, task(batch, 0), None), name);
        }
        assert!(transfers.over(BatchSeq(2)));
        assert!(!transfers.over(BatchSeq(2)) && !transfers.over(BatchSeq(1)));
        transfers.abandon(BatchSeq(4));
        transfers.abandon(BatchSeq(5));
        assert_eq!(left(&transfers), ["two", "three"]);
        // A task that was running then ends later.
        transfers.add(purpose(0, task(4, 1), Some(Attempt(0))), "late");
        transfers.add(purpose(0, task(1, 1), Some(Attempt(0))), "later");
        transfers.add(purpose(0, task(3, 1), Some(Attempt(0))), "needed");
        assert_eq!(left(&transfers), ["two", "three", "needed"]);
    }

    #[test]
    fn of_two_runs_the_second_is_given_up_and_the_owners_never() {
        let first = Attempt(0);
        let mut transfers = Transfers::default();
        transfers.add(purpose(0, task(1, 0), Some(first)), "owner's");
        transfers.add(purpose(0, task(1, 0), Some(speculative(first))), "second");
        transfers.add(purpose(0, task(1, 0), None), "its parts");
        transfers.add(purpose(0, task(1, 1), Some(speculative(first))), "of another task");
        transfers.outrun(task(1, 0));
        assert_eq!(left(&transfers), ["owner's", "its parts", "of another task"]);
    }

    #[test]
    fn nothing_is_sent_to_who_is_gone() {
        let mut transfers = Transfers::default();
        transfers.add(purpose(1, task(1, 0), None), "one");
        transfers.add(purpose(2, task(1, 0), None), "two");
        transfers.gone(PeerId(1));
        assert_eq!(left(&transfers), ["two"]);
    }
}
