//! What a master's core is given, is told, asks for and ends with.

use super::journal::CommitToken;
use crate::id::{BatchSeq, JournalSeq, OutputId, Partition, SourceId, StageId, TaskId, WorkerId};
use crate::sched::message::{
    Failure, HolderChange, JournalEntry, Loss, LostRow, ToMaster, ToWorker,
};
use crate::source::{Position, Range};
use crate::time::{BatchTime, Timetable};

/// What a master is given at the start.
#[derive(Debug, Clone)]
pub struct MasterConfig {
    /// Number of partitions.
    pub partitions: u32,
    /// How many batches may be in flight: bounds memory, and lets the next batches be read while
    /// one is still running. At least 1, at most [`MAX_IN_FLIGHT`](crate::sched::MAX_IN_FLIGHT).
    pub in_flight: u32,
    /// How often a task is run before the job gives up.
    pub attempts: u32,
    /// How many workers must have joined before the first batch is cut.
    pub workers: u32,
    /// How long a worker may be silent before it is lost, in milliseconds; none where workers cannot be
    /// lost without the master.
    pub lease_ms: Option<u64>,
    /// About how often each state is saved, in milliseconds: then the partitions of a worker that is lost
    /// go on elsewhere. None: the job ends with the first owner that is lost.
    pub checkpoint_ms: Option<u64>,
    /// Whether tasks that are late are run on other workers too; only where states are saved.
    pub speculate: bool,
    /// When batches end.
    pub timetable: Timetable,
    /// How many bytes a batch of live sources takes in at most: what memory there is for it.
    pub batch_bytes: u64,
    /// Whether an output shows batches without records too: then each has to be run.
    pub publishes_empty: bool,
    /// Per output whether anything comes of its records: windows of the others need not be completed.
    pub seen: Vec<bool>,
    /// Per source whether it is live; the others end by themselves.
    pub live: Vec<bool>,
    /// Per source whether a stop still takes what it has received: live ones, and those that cannot give it again.
    pub drains: Vec<bool>,
    /// The first batch to cut: 1, or the one after a savepoint's.
    pub first: BatchSeq,
    /// The number of this master among those of the job: it makes epochs larger than those of any before.
    pub term: u32,
    /// Whether this master completes a stop that the one before it has begun, as a standby does. One that a
    /// user starts goes on with the job instead.
    pub completes_stop: bool,
}

/// What a master's core is told.
#[derive(Debug)]
pub enum MasterEvent {
    /// A worker said something. Nothing may come from one that has left, or was dismissed or evicted: a
    /// process that comes back is a new worker.
    Worker(WorkerId, ToMaster),
    /// The connection to a worker is gone, and why.
    Left(WorkerId, String),
    /// A worker is about to join a job that clients push records to: it is answered by [`MasterAction::Admit`].
    Comes {
        /// The worker.
        worker: WorkerId,
        /// Its name.
        name: String,
        /// It runs in the master's own process.
        inside: bool,
    },
    /// Something else becomes known of those that may hold what clients have sent.
    Holder(HolderChange),
    /// A worker is to leave politely.
    Drain(WorkerId),
    /// A source has been cut.
    CutDone {
        /// The batch.
        batch: BatchSeq,
        /// The source.
        source: SourceId,
        /// Per input the ranges it consists of.
        inputs: Vec<Vec<Range>>,
        /// From where the next cut goes on, if the source knows.
        position: Option<Position>,
        /// Nothing will come after this.
        ended: bool,
        /// Some of its splits have data and have not been begun.
        waiting: bool,
    },
    /// A source could not be cut.
    CutFailed {
        /// The batch.
        batch: BatchSeq,
        /// The source.
        source: SourceId,
        /// Why.
        message: String,
    },
    /// All journal entries up to this one are durable.
    Synced(JournalSeq),
    /// Another master has taken over: nothing of what this one writes counts any more.
    Fenced {
        /// Who, as far as it is known.
        why: String,
    },
    /// A batch is visible at all outputs.
    Published {
        /// The batch.
        batch: BatchSeq,
    },
    /// A batch could not be published.
    PublishFailed {
        /// The batch.
        batch: BatchSeq,
        /// The output that refused it.
        output: OutputId,
        /// Why.
        message: String,
    },
    /// Acknowledged records that tasks need, or that wait for a batch, are held by no process any more.
    Lost {
        /// Which.
        rows: Vec<LostRow>,
        /// How.
        how: Loss,
    },
    /// Time has passed.
    Tick,
    /// Stop gracefully: take in nothing new, process and publish what was received.
    Stop,
}

/// What a master's driver must do.
#[derive(Debug, PartialEq, Eq)]
pub enum MasterAction {
    /// There is another batch; it follows which sources are asked for it, if any.
    NewBatch {
        /// The batch.
        batch: BatchSeq,
        /// The end of its interval.
        time: BatchTime,
    },
    /// Intervals have passed in which no batch could be cut.
    Missed {
        /// How many.
        intervals: u64,
        /// How many of them have a batch; all others are one step.
        run: u64,
    },
    /// Ask a source for the input of a batch; answer with `CutDone` or `CutFailed`.
    Cut {
        /// The batch.
        batch: BatchSeq,
        /// The source.
        source: SourceId,
        /// About how many bytes it may bring, if it is live; the rest waits.
        limit: u64,
    },
    /// Tell the sources to take in nothing new.
    StopSources,
    /// Write an entry down; answer with `Synced` when it is durable.
    Persist(JournalSeq, JournalEntry),
    /// Tell a worker.
    Tell(WorkerId, ToWorker),
    /// A worker that is about to join may: later masters know of it.
    Admit(WorkerId),
    /// A worker that was drained holds nothing any more: it may go. It is no member any more.
    Dismiss(WorkerId),
    /// A worker was silent for too long, and is no member any more: cut its connections.
    Evict(WorkerId, String),
    /// A worker was slow again and again, or is not any more: it owns fewer partitions, or as many as others.
    Slow {
        /// The worker.
        worker: WorkerId,
        /// How many times as long as others it takes, in thousandths.
        factor: u32,
        /// How many partitions it owns now.
        partitions: u32,
        /// How much it reads of what comes in, in percent.
        share: u32,
    },
    /// From the next cut on, workers read what clients have pushed in proportion to these weights.
    Weights(Vec<(WorkerId, u32)>),
    /// A worker cannot be drained.
    Refuse {
        /// The worker.
        worker: WorkerId,
        /// Why, and what to do.
        why: String,
    },
    /// Make a batch visible; answer with `Published` or `PublishFailed`.
    Publish {
        /// The batch.
        batch: BatchSeq,
        /// The proof that its commit is durable.
        token: CommitToken,
        /// The batch with which all sources have ended, if they have. In later ones only those outputs emit that had
        /// not [completed](crate::plan::Plan::completes) with it.
        ended: Option<BatchSeq>,
    },
    /// A batch that was asked for does not exist: nothing was received for it.
    Unneeded {
        /// The batch.
        batch: BatchSeq,
    },
    /// This object will not be loaded any more.
    Obsolete(String),
    /// Send `Tick` when it is that late, in the timetable's milliseconds; replaces any other timer.
    SetTimer(u64),
    /// The job is over.
    Finish(Outcome),
}

/// How a job ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// All input was processed and published.
    Done,
    /// It failed; batches before the one that failed were published.
    Failed(Cause),
}

/// Why a job failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// A task failed as often as it may.
    Task {
        /// The task.
        task: TaskId,
        /// How often it ran.
        attempts: u32,
        /// The last failure.
        failure: Failure,
    },
    /// Two runs of a task have made different things.
    Differs {
        /// The task.
        task: TaskId,
    },
    /// A source could not be cut.
    Source {
        /// The batch.
        batch: BatchSeq,
        /// The source.
        source: SourceId,
        /// Why.
        message: String,
    },
    /// An output refused a batch.
    Output {
        /// The batch.
        batch: BatchSeq,
        /// The output.
        output: OutputId,
        /// Why.
        message: String,
    },
    /// A state that was saved could not be loaded.
    State {
        /// The stage.
        stage: StageId,
        /// The partition.
        partition: Partition,
        /// Why.
        why: String,
    },
    /// Another master has taken over.
    Fenced {
        /// Who, as far as it is known.
        why: String,
    },
    /// Acknowledged records are lost.
    Lost {
        /// Which.
        rows: Vec<LostRow>,
    },
    /// A worker was lost with what it held.
    Worker {
        /// The worker.
        worker: WorkerId,
        /// Why.
        why: String,
    },
}
