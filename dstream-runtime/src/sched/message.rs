//! What master and workers tell each other: plain data, ready for any wire.
//!
//! An epoch begins with a batch: from that one on its placement holds, for the batches before it the
//! placements before. Every message about a batch carries the epoch of that batch, and a receiver
//! ignores it with any other. The master starts an epoch's first batch only when every worker has
//! acknowledged the epoch's placement, so no message about a batch can arrive before the placement of
//! its epoch. State can: it moves as soon as its old owner knows the placement.
//!
//! A recovery changes the placements of batches that have begun. What workers tell each other about a batch
//! carries the newer of the batch's epoch and the recovery: by that a receiver knows for which of its
//! partitions the sender meant it. What the master says to a worker arrives in order, each once.

mod entry;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use self::entry::{HolderChange, JournalEntry, Loss, LostRow};
use crate::id::{
    Attempt, BatchSeq, Epoch, OutputId, Partition, SourceId, StageId, TailId, TaskId, WorkerId,
};
use crate::source::{Range, Reach};
use crate::time::BatchTime;

/// From the master to a worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToWorker {
    /// Who owns which partition from a batch on.
    Place {
        /// The new epoch.
        epoch: Epoch,
        /// The owner of each partition.
        placement: Arc<[WorkerId]>,
        /// The first batch of the epoch.
        first: BatchSeq,
        /// The first batch of this run of the job: none before it has tasks. An epoch that begins with it moves no
        /// state: the owners at that batch load the states that a job goes on from.
        start: BatchSeq,
    },
    /// A batch has been cut: its tasks exist.
    Begin {
        /// The epoch.
        epoch: Epoch,
        /// The batch.
        batch: BatchSeq,
        /// The end of its interval.
        time: BatchTime,
        /// How far each source has come with it.
        reach: Vec<Reach>,
        /// Per source, how many inputs it has: input i belongs to partition i.
        inputs: Vec<u32>,
        /// The inputs of the receiver's partitions.
        ranges: Vec<TaskInput>,
        /// The oldest batch that is not over: the same as `Release` of those before it.
        oldest: BatchSeq,
    },
    /// Run a failed task again.
    Again {
        /// The epoch.
        epoch: Epoch,
        /// The task.
        task: TaskId,
        /// The number of the run.
        attempt: Attempt,
    },
    /// Run a task of another worker's partition too, which is slow: the result that comes first counts.
    Speculate {
        /// The epoch.
        epoch: Epoch,
        /// The task: one that only reads from a source.
        task: TaskId,
        /// The number of the run.
        attempt: Attempt,
        /// What it reads.
        ranges: Vec<Range>,
    },
    /// Another run of this task counts: drop or stop yours.
    Cancel {
        /// The epoch.
        epoch: Epoch,
        /// The task.
        task: TaskId,
    },
    /// Batches before this one are over: whatever was kept for them can go.
    Release {
        /// The epoch.
        epoch: Epoch,
        /// The oldest batch that is not over.
        oldest: BatchSeq,
    },
    /// This batch and all after it will never be published: start no task of them any more.
    Abandon {
        /// The epoch.
        epoch: Epoch,
        /// The first of them.
        from: BatchSeq,
    },
    /// Workers were lost: others own their partitions now, in all batches that are not over.
    Recover(Box<Recover>),
    /// Save these states as they are after this batch, which is the newest that has begun.
    Checkpoint {
        /// The epoch.
        epoch: Epoch,
        /// The batch.
        after: BatchSeq,
        /// The states.
        states: Vec<ToSave>,
    },
}

/// A state that is to be saved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToSave {
    /// The stage.
    pub stage: StageId,
    /// The partition.
    pub partition: Partition,
    /// The last object of the saved state that this one may continue: it is kept until this one is there.
    pub continues: Option<String>,
}

/// The new owners now that workers were lost, and what they need to go on. It has a number out of the row of
/// epochs, and is acknowledged as they are; the epochs of batches stay what they were.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recover {
    /// Its number.
    pub epoch: Epoch,
    /// The placements of all batches that are not over, and of those to come, oldest first.
    pub rows: Vec<PlacementRow>,
    /// The partitions that were lost: each has one owner from here on, in all these placements.
    pub lost: Vec<Partition>,
    /// The oldest batch that is not over.
    pub oldest: BatchSeq,
    /// The first batch that has not begun.
    pub next: BatchSeq,
    /// If the receiver is a new owner: the batches that have begun and are not complete.
    pub batches: Vec<Resumed>,
    /// What the states of its new partitions are to be made from.
    pub states: Vec<Saved>,
}

/// A placement and the batches that it is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlacementRow {
    /// The epoch.
    pub epoch: Epoch,
    /// Its first batch.
    pub first: BatchSeq,
    /// The owner of each partition.
    pub placement: Arc<[WorkerId]>,
}

/// A batch that has begun, for a new owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resumed {
    /// The batch.
    pub batch: BatchSeq,
    /// The end of its interval.
    pub time: BatchTime,
    /// How far each source has come with it.
    pub reach: Vec<Reach>,
    /// Per source, how many inputs it has.
    pub inputs: Vec<u32>,
    /// The inputs of the receiver's new partitions.
    pub ranges: Vec<TaskInput>,
    /// The tasks of the receiver's new partitions that have not been reported.
    pub open: Vec<(StageId, Partition)>,
}

/// A state that was saved, in one object or in several: all of it as it was at some time, and then what had
/// changed each time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    /// The stage.
    pub stage: StageId,
    /// The partition.
    pub partition: Partition,
    /// The last batch in it; the one before the first of the run for the state that the job began with.
    pub after: BatchSeq,
    /// What the drivers that saved them call its objects, in the order in which they are read; none for the
    /// state that the job began with.
    pub objects: Vec<String>,
}

/// What one task reads from a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskInput {
    /// The source.
    pub source: SourceId,
    /// The partition that it belongs to.
    pub partition: Partition,
    /// Its ranges, in order.
    pub ranges: Vec<Range>,
}

/// From a worker to the master.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToMaster {
    /// It is there and has room for that many tasks at a time.
    Joined {
        /// Number of executor threads.
        slots: u32,
    },
    /// It knows the placement of that epoch.
    Placed {
        /// The epoch.
        epoch: Epoch,
    },
    /// A task has run.
    TaskDone {
        /// The epoch.
        epoch: Epoch,
        /// The task.
        task: TaskId,
        /// Which run of it.
        attempt: Attempt,
        /// What it did.
        tally: TaskTally,
    },
    /// A task has run, and another run of it counts.
    AlsoRan {
        /// The epoch.
        epoch: Epoch,
        /// The task.
        task: TaskId,
        /// As in [`TaskTally::content`].
        content: u64,
    },
    /// A task has failed.
    TaskFailed {
        /// The epoch.
        epoch: Epoch,
        /// The task.
        task: TaskId,
        /// Which run of it.
        attempt: Attempt,
        /// Why.
        failure: Failure,
    },
    /// A sign of life, which comes at a steady rate.
    Heartbeat {
        /// How its engine has fared since the last one.
        engine: EngineTime,
    },
    /// All state that moves to it with this epoch, and with those before, has arrived.
    Settled {
        /// The epoch.
        epoch: Epoch,
    },
    /// A state is in safety.
    Saved(Saved),
    /// A state could not be saved.
    NotSaved {
        /// The stage.
        stage: StageId,
        /// The partition.
        partition: Partition,
        /// The batch that it was to be saved after.
        after: BatchSeq,
    },
    /// A saved state could not be loaded.
    NotLoaded {
        /// The stage.
        stage: StageId,
        /// The partition.
        partition: Partition,
        /// Why.
        why: String,
    },
}

/// From a worker to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToPeer {
    /// A task whose stage others read has run; the blocks named are for the receiver's partitions
    /// and travel beside this message.
    Produced {
        /// The epoch.
        epoch: Epoch,
        /// The task.
        task: TaskId,
        /// Which run of it.
        attempt: Attempt,
        /// The blocks it made for the receiver, empty ones left out.
        blocks: Vec<(TailId, Partition)>,
    },
    /// The state of a partition that the receiver owns from the epoch's first batch on, as the last
    /// task before left it. It travels beside this message.
    State {
        /// The epoch that moves it.
        epoch: Epoch,
        /// The stage.
        stage: StageId,
        /// The partition.
        partition: Partition,
    },
    /// What these tasks made for the sender is needed: send it (again), and run them (again) if that is
    /// what it takes.
    Want {
        /// The newest recovery that the sender knows of.
        epoch: Epoch,
        /// The sender.
        by: WorkerId,
        /// The tasks.
        tasks: Vec<TaskId>,
    },
}

/// What a task did, in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskTally {
    /// Records read from a source.
    pub records: u64,
    /// Bytes read from a source.
    pub bytes: u64,
    /// Records that were set aside: they could not be read, or a function panicked for them.
    pub dead: u64,
    /// Records that came when all windows which span them had closed.
    pub late: u64,
    /// Blocks made.
    pub blocks: u32,
    /// How long it ran, in microseconds.
    pub micros: u32,
    /// For how long of that it had a processor, in microseconds; 0 where that is not known.
    pub busy_micros: u32,
    /// A hash of all that it made, where other workers may run it too: every run must have the same.
    pub content: u64,
}

/// For how long the engine of a worker, the thread that everything goes through that it receives and sends, wanted a
/// processor, and for how long it had one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineTime {
    /// How long it took for what it did, in microseconds.
    pub micros: u32,
    /// For how long of that it had a processor, in microseconds; 0 where that is not known.
    pub busy_micros: u32,
    /// For how much of the rest other threads of its process may have had it, in microseconds.
    pub shared_micros: u32,
}

/// Why a task failed, as text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What happened.
    pub message: String,
    /// File and line of a panic.
    pub at: Option<(String, u32)>,
    /// What kind of failure it is.
    pub kind: FailureKind,
    /// Whether another run may end differently.
    pub again: bool,
}

/// What made a task fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum FailureKind {
    /// A function of the user panicked.
    Panic,
    /// A record could not be read, and the source says that this ends the job.
    DeadLetter,
    /// The source could not be read.
    Source,
    /// A record that the task made does not fit into a block.
    Result,
    /// The format of an output cannot hold a record.
    Output(OutputId),
    /// A block was missing or was refused, or a state was that of another stage.
    Block,
}

impl ToWorker {
    /// The epoch it was sent in.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        match self {
            Self::Place { epoch, .. }
            | Self::Begin { epoch, .. }
            | Self::Again { epoch, .. }
            | Self::Speculate { epoch, .. }
            | Self::Cancel { epoch, .. }
            | Self::Release { epoch, .. }
            | Self::Abandon { epoch, .. }
            | Self::Checkpoint { epoch, .. } => *epoch,
            Self::Recover(recover) => recover.epoch,
        }
    }
}

impl ToPeer {
    /// The epoch it was sent in.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        match self {
            Self::Produced { epoch, .. } | Self::State { epoch, .. } | Self::Want { epoch, .. } => {
                *epoch
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_and_entries_survive_any_wire() {
        let task = TaskId { batch: BatchSeq(7), stage: StageId(2), partition: Partition(3) };
        let epoch = Epoch(4);
        let begin = ToWorker::Begin {
            epoch,
            batch: BatchSeq(7),
            time: BatchTime(7000),
            reach: vec![Reach::Live, Reach::Ended],
            inputs: vec![3, 0],
            ranges: vec![TaskInput {
                source: SourceId(0),
                partition: Partition(2),
                ranges: vec![Range { split: "file".into(), start: 0, end: 3 }],
            }],
            oldest: BatchSeq(5),
        };
        let failed = ToMaster::TaskFailed {
            epoch,
            task,
            attempt: Attempt(1),
            failure: Failure {
                message: "no".into(),
                at: Some(("a.rs".into(), 7)),
                kind: FailureKind::Panic,
                again: true,
            },
        };
        let range = Range { split: "file".into(), start: 3, end: 9 };
        let cut = JournalEntry::Cut {
            epoch,
            batch: BatchSeq(7),
            inputs: vec![vec![vec![range]]],
            positions: vec![Some([1u8, 2].into()), None],
            reach: vec![Reach::Waiting, Reach::Ended],
        };
        let wire = serde_json::to_string(&(&begin, &failed, &cut)).unwrap();
        let back: (ToWorker, ToMaster, JournalEntry) = serde_json::from_str(&wire).unwrap();
        assert_eq!(back, (begin, failed, cut));
    }
}
