//! What a worker's core is told and asks for.

use std::sync::Arc;

use crate::id::{Attempt, BatchSeq, BlockId, Epoch, Partition, StageId, TailId, TaskId, WorkerId};
use crate::sched::message::{Failure, Saved, TaskTally, ToMaster, ToPeer, ToWorker};
use crate::source::{Range, Reach};
use crate::time::BatchTime;

/// When blocks may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retention {
    /// When the tasks here that read them have run: for a job whose process is lost as a whole.
    Consumed,
    /// When their batch is over: other workers may have to read them again.
    Released,
}

/// What a worker's core is told.
#[derive(Debug)]
pub enum WorkerEvent {
    /// The master said something.
    Master(ToWorker),
    /// Another worker said something, and the blocks it names, or the state, have been loaded. Ask
    /// [`expects_state`](super::WorkerCore::expects_state) before loading a state.
    Peer(ToPeer),
    /// A task has run here.
    Ran {
        /// The task.
        task: TaskId,
        /// Which run of it.
        attempt: Attempt,
        /// The blocks it made.
        blocks: Vec<(TailId, Partition)>,
        /// What it did.
        tally: TaskTally,
    },
    /// A state is in safety, as [`WorkerAction::Save`] asked.
    Saved(Saved),
    /// A state could not be saved: the master asks again.
    NotSaved {
        /// The stage.
        stage: StageId,
        /// The partition.
        partition: Partition,
        /// The batch that it was to be saved after.
        after: BatchSeq,
    },
    /// A state has been loaded and is in place. Ask
    /// [`expects_load`](super::WorkerCore::expects_load) before putting it there.
    Loaded {
        /// The stage.
        stage: StageId,
        /// The partition.
        partition: Partition,
        /// As in [`WorkerAction::Load`].
        recovery: Epoch,
    },
    /// A state could not be loaded.
    NotLoaded {
        /// The stage.
        stage: StageId,
        /// The partition.
        partition: Partition,
        /// As in [`WorkerAction::Load`].
        recovery: Epoch,
        /// Why.
        why: String,
    },
    /// A run did not begin, or did not end, as [`WorkerAction::Cancel`] asked.
    Cancelled {
        /// The task.
        task: TaskId,
        /// Which run of it.
        attempt: Attempt,
    },
    /// A task has failed here.
    Failed {
        /// The task.
        task: TaskId,
        /// Which run of it.
        attempt: Attempt,
        /// Why.
        failure: Failure,
    },
}

/// What a worker's driver must do.
#[derive(Debug, PartialEq, Eq)]
pub enum WorkerAction {
    /// Run a task.
    Run(RunTask),
    /// Drop a run, or stop it on its way, and answer with `Cancelled`; unless it has ended.
    Cancel {
        /// The task.
        task: TaskId,
        /// Which run of it.
        attempt: Attempt,
    },
    /// Tell the master.
    Report(ToMaster),
    /// Tell another worker, and send it the blocks that the message names.
    Tell(WorkerId, ToPeer),
    /// Send the state of a partition, as the last task left it, to its new owner: with
    /// [`ToPeer::State`]. From here on it is not this worker's any more.
    SendState {
        /// Who owns it from the epoch's first batch on.
        to: WorkerId,
        /// The epoch that moves it.
        epoch: Epoch,
        /// The stage.
        stage: StageId,
        /// The partition.
        partition: Partition,
    },
    /// Mark the state of a partition, as the last task left it, and save it in the background: all of it, or what
    /// has changed since the last mark but one, if it continues something. Answer with `Saved` or `NotSaved`. A
    /// task that is run after this, and `SendState`, must not change what is saved.
    Save {
        /// The stage.
        stage: StageId,
        /// The partition.
        partition: Partition,
        /// The last batch in it.
        after: BatchSeq,
        /// The objects of the state as it was at the last mark but one, if it may continue that; they are the
        /// first of its own then.
        continues: Vec<String>,
    },
    /// Load a state, in place of the one that is here, if any, and mark it, unless it is that which the job began
    /// with; answer with `Loaded` or `NotLoaded`. Nothing that uses it is run until then.
    Load {
        /// What to load.
        state: Saved,
        /// Tells this load from others of the same state.
        recovery: Epoch,
    },
    /// The state of a partition is not this worker's any more: let it go.
    Discard {
        /// The stage.
        stage: StageId,
        /// The partition.
        partition: Partition,
    },
    /// Blocks that this stage made in this batch will not be read here any more.
    Drop {
        /// The batch.
        batch: BatchSeq,
        /// The stage.
        stage: StageId,
    },
    /// Nothing of batches before this one is needed any more.
    Forget {
        /// The oldest batch that is not over.
        oldest: BatchSeq,
    },
}

/// A task that is ready, and what it reads.
#[derive(Debug, PartialEq, Eq)]
pub struct RunTask {
    /// The task.
    pub task: TaskId,
    /// Which run of it.
    pub attempt: Attempt,
    /// The end of its batch.
    pub time: BatchTime,
    /// How far each source has come with its batch.
    pub reach: Arc<[Reach]>,
    /// Whether its stage emits in this batch.
    pub emits: bool,
    /// Per dependency of the lineage row its blocks in merge order: by producing (stage, tail) as
    /// the row lists them, then by producing partition. Empty if there is no block at all.
    pub inputs: Vec<Vec<BlockId>>,
    /// What it reads from its source, if its stage reads one.
    pub ranges: Vec<Range>,
}
