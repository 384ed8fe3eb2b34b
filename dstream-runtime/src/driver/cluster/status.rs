//! How a cluster is doing: plain data, complete enough that its reader needs nothing else.
//!
//! Workers are called by name and address, batches by number; what a batch waits for is said in words,
//! by the core that knows it. This module judges nothing and renders nothing.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::id::{BatchSeq, Epoch, Partition};
use crate::time::BatchTime;

/// How a job on a cluster is doing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClusterStatus {
    /// The job.
    pub job: String,
    /// The hash of its plan, as 16 hex digits.
    pub plan: String,
    /// The version of dstream.
    pub version: String,
    /// Where the master listens.
    pub master: SocketAddr,
    /// For how long the master has run.
    pub uptime_ms: u64,
    /// What it is doing.
    pub phase: Phase,
    /// The epoch of the latest placement.
    pub epoch: Epoch,
    /// Number of partitions.
    pub partitions: u32,
    /// The batch interval.
    pub interval_ms: u64,
    /// Whether the job ends only when it is told to.
    pub live: bool,
    /// The last batch that is visible at all outputs.
    pub published: Option<PublishedStatus>,
    /// How far behind the job is now: the age of the oldest batch that should be visible and is not. None
    /// when nothing is late, and for a job over history.
    pub delay_ms: Option<u64>,
    /// What the oldest batch in flight waits for, in words; what a delay comes from.
    pub cause: Option<String>,
    /// Records that event-time windows left out, since those which span them had closed.
    #[serde(default)]
    pub late: u64,
    /// The output that does not take a batch and is tried again, if there is one: why nothing is published.
    #[serde(default)]
    pub refused: Option<RefusedStatus>,
    /// How far the master's clock is behind batch times, if it was set back: they go on all the same.
    #[serde(default)]
    pub clock_behind_ms: Option<u64>,
    /// The state that could not be saved for longest, if there is one, and why.
    #[serde(default)]
    pub unsaved: Option<UnsavedStatus>,
    /// Batches in flight, oldest first.
    pub batches: Vec<BatchStatus>,
    /// Per source of the plan.
    pub sources: Vec<SourceStatus>,
    /// Per output of the plan.
    pub outputs: Vec<OutputStatus>,
    /// Workers by name.
    pub workers: Vec<WorkerStatus>,
    /// How many late tasks were run on another worker too.
    pub speculations: u64,
    /// How many of these runs came before the first ones.
    pub speculations_won: u64,
    /// Who takes in pushed records, by stream.
    pub receivers: Vec<ReceiverStatus>,
}

/// What a master is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It waits for workers before the first batch.
    Waiting {
        /// How many there are.
        have: u32,
        /// How many it waits for.
        want: u32,
    },
    /// It runs the job.
    Running,
    /// It processes what was received, and then ends.
    Stopping,
}

/// The last batch that is visible.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PublishedStatus {
    /// The batch.
    pub batch: BatchSeq,
    /// The end of its interval.
    pub time: BatchTime,
    /// From cutting it to publishing it.
    pub processing_ms: f64,
    /// For a live job: how long after its time it was visible.
    pub delay_ms: Option<f64>,
}

/// A batch in flight.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchStatus {
    /// The batch.
    pub batch: BatchSeq,
    /// Where it is: `cutting`, `journaled`, `running`, `publishing`, ….
    pub phase: String,
    /// What it waits for: `3 tasks on worker w2 (stage counts)`.
    pub waits_for: String,
    /// For how long it has existed.
    pub age_ms: u64,
}

/// What was read from a source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceStatus {
    /// The name of its stream.
    pub name: String,
    /// Where it reads.
    pub url: String,
    /// Records in published batches.
    pub records: u64,
    /// Bytes in published batches.
    pub bytes: u64,
    /// Records per second, lately.
    pub records_per_second: f64,
    /// Records that were set aside: they could not be read, or a function panicked for them.
    pub dead_letters: u64,
    /// Files that cannot be read now.
    #[serde(default)]
    pub unreadable_files: u64,
    /// Bytes that are gone and had not been read: of files that were truncated or removed.
    #[serde(default)]
    pub lost_bytes: u64,
}

/// What was made for an output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputStatus {
    /// Its name.
    pub name: String,
    /// Where it writes.
    pub url: String,
    /// Records in published batches.
    pub records: u64,
}

/// An output that does not take a batch and is tried again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedStatus {
    /// Its name.
    pub output: String,
    /// The batch.
    pub batch: BatchSeq,
    /// How long ago it has refused it for the first time.
    pub for_ms: u64,
    /// How often since.
    pub tries: u32,
    /// Why, the last time.
    pub why: String,
}

/// A state that could not be saved, and is tried again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnsavedStatus {
    /// The operator whose state it is.
    pub operator: String,
    /// Its partition.
    pub partition: Partition,
    /// The worker that has it.
    pub worker: String,
    /// Where it is to be saved.
    pub url: String,
    /// How long ago it could not be for the first time.
    pub for_ms: u64,
    /// How often since.
    pub tries: u32,
    /// Why, the last time.
    pub why: String,
}

/// Where a worker stands in its cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It has joined and owns nothing yet.
    Joining,
    /// It owns partitions.
    Active,
    /// It could own partitions, and there are none for it.
    Standby,
    /// It hands over what it holds.
    Draining,
    /// It is gone.
    Gone,
}

/// A worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkerStatus {
    /// Its name.
    pub name: String,
    /// Where other workers reach it.
    pub addr: SocketAddr,
    /// Where it stands.
    pub standing: Standing,
    /// How many partitions it owns.
    pub partitions: u32,
    /// How many tasks it runs at a time.
    pub cores: u32,
    /// Tasks of batches in flight that it has not finished.
    pub tasks: u32,
    /// Bytes of blocks in its memory, and of buffers that it keeps to use them again.
    pub memory: u64,
    /// Its `--memory`.
    pub memory_limit: u64,
    /// Bytes of blocks in its files.
    pub spilled: u64,
    /// How long ago it was last heard.
    pub heard_ms: u64,
    /// How many times as long as others it takes, if it has lost partitions for that.
    pub slow: Option<f64>,
    /// How much it reads of what comes in, in percent.
    pub share: u32,
}

/// A receiver: where records of a stream are taken in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiverStatus {
    /// The stream.
    pub stream: String,
    /// The worker that it runs on.
    pub worker: String,
    /// Where senders reach it: `tcp://HOST:PORT`, `http://HOST:PORT/PATH`, and for the client library the
    /// worker's address as `dstream://HOST:PORT`.
    pub url: String,
    /// Records that this worker has taken in.
    pub records: u64,
    /// Bytes of them that no batch has taken yet.
    pub waiting: u64,
    /// Clients for whom it had no place since this master runs.
    #[serde(default)]
    pub turned_away: u64,
    /// Why it does not listen at the stream's address, if it should; it tries again.
    pub error: Option<String>,
}
