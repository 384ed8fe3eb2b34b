//! One run of one task: what it is given and what it leaves.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::poison::Poisoned;
use super::state::StageName;
use super::tail::ReadingSplit;
use crate::block::{Block, BufferPool, DecodeError, PushError};
use crate::id::{BatchSeq, OutputId, Partition, TaskId};
use crate::record::{Dialect, Floats, Format};
use crate::sink::Part;
use crate::source::{Input, Reach, SourceError};
use crate::store::KeptBlock;
use crate::time::BatchTime;

/// How one output is encoded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputSetting {
    /// The format; `None` only counts.
    pub format: Option<Format>,
    /// Records are archived for a function of the program.
    pub rows: bool,
    /// Encode no more than this many records of a partition (`print`).
    pub limit: Option<u32>,
    /// How many records to show in the terminal.
    pub preview: u32,
    /// How CSV is written.
    pub dialect: Dialect,
    /// What happens with floats that JSON has no numbers for.
    pub floats: Floats,
}

/// State of one partition of one stage as blocks, or what has changed in it: what is saved of it, and what
/// goes to the worker that a partition moves to. The tag says which of the stage's doors a block goes through
/// ([`RunStage::state_door`](super::stage::RunStage::state_door)).
#[derive(Debug, Clone, Default)]
pub struct SavedState {
    /// Blocks with a tag each (the batch of a pane, for instance), in the stage's own order.
    pub parts: Vec<(u64, KeptBlock)>,
    /// Of what has changed: the batches whose tasks have run meanwhile, oldest first, if the stage goes by them.
    pub steps: Vec<BatchSeq>,
}

impl SavedState {
    /// All of a state.
    #[must_use]
    pub fn whole(parts: Vec<(u64, KeptBlock)>) -> Self {
        Self { parts, steps: Vec::new() }
    }

    /// Length of all its blocks.
    #[must_use]
    pub fn byte_len(&self) -> u64 {
        self.parts.iter().map(|(_, block)| block.byte_len() as u64).sum()
    }
}

/// What a task is given, and where it puts what it makes.
pub struct TaskContext<'t> {
    /// Which task.
    pub task: TaskId,
    /// The end of its batch.
    pub time: BatchTime,
    /// Number of partitions of the job.
    pub partitions: u32,
    /// Whether the stage emits in this batch (a window may only take in).
    pub emits: bool,
    /// Blocks per dependency of the lineage row, in merge order.
    pub inputs: &'t [Vec<KeptBlock>],
    /// The source range, for a stage that reads one.
    pub source: Option<&'t Input>,
    /// The split that it reads at the moment.
    pub reading: ReadingSplit,
    /// How far each source has come with this batch.
    pub reach: &'t [Reach],
    /// Where blocks get their buffers.
    pub buffers: &'t BufferPool,
    /// How outputs are encoded, by output.
    pub outputs: &'t [OutputSetting],
    /// Lines of the source range that are set aside: their records made a function panic.
    pub poisoned: Poisoned,
    /// What it makes.
    pub made: Made,
}

/// What a task made.
#[derive(Debug, Default)]
pub struct Made {
    /// One per tail, in order.
    pub tails: Vec<TailMade>,
    /// Records read from a source.
    pub records: u64,
    /// Bytes read from a source.
    pub bytes: u64,
    /// Records that were set aside: they could not be read, or a function panicked for them.
    pub dead: DeadLetters,
    /// Records that came when all windows which span them had closed.
    pub late: u64,
}

/// What one tail of a task made.
#[derive(Debug)]
pub enum TailMade {
    /// Blocks, each for one partition, by ascending partition; several where one is not enough, none
    /// where there are no records.
    Blocks(Vec<(Partition, Block)>),
    /// A part of an output.
    Part {
        /// The part.
        part: Part,
        /// Its first records, as lines of text, for the terminal.
        preview: Vec<u8>,
    },
}

/// Records that could not be parsed, or made a function panic and were set aside.
#[derive(Debug, Default, Clone)]
pub struct DeadLetters {
    /// How many.
    pub count: u64,
    /// The first of them.
    pub first: Vec<DeadLetter>,
}

/// How many dead letters of a task are kept to be shown and written; all are counted.
pub const DEAD_LETTERS_KEPT: usize = 1024;
/// How many bytes of a dead letter are kept.
pub const DEAD_LETTER_BYTES: usize = 1024;

/// A record that could not be processed, and why.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct DeadLetter {
    /// The file or connection.
    pub split: String,
    /// Its position there.
    pub position: u64,
    /// Why.
    pub reason: String,
    /// What it was, cut off after [`DEAD_LETTER_BYTES`].
    pub text: String,
}

impl DeadLetters {
    /// Counts one, and keeps it if it is among the first.
    pub fn add(&mut self, split: &str, position: u64, bytes: &[u8], reason: String) {
        self.count += 1;
        if self.first.len() < DEAD_LETTERS_KEPT {
            let text = &bytes[..bytes.len().min(DEAD_LETTER_BYTES)];
            self.first.push(DeadLetter {
                split: split.to_owned(),
                position,
                reason,
                text: String::from_utf8_lossy(text).into_owned(),
            });
        }
    }
}

/// Why a task failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TaskError {
    /// Its input could not be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A block was refused.
    #[error("a block was refused: {0}")]
    Door(#[from] DecodeError),
    /// A function of the user panicked.
    #[error("{0}")]
    Panic(Panic),
    /// A record was refused and the source says `on_error=stop`.
    #[error("{} at {}: {}: {:?}", .0.split, .0.position, .0.reason, .0.text)]
    DeadLetter(Box<DeadLetter>),
    /// A stage was given the state of another one.
    #[error("{stage} was given a state of type `{found}`; it keeps `{wanted}`")]
    State {
        /// The stage.
        stage: StageName,
        /// The type of its state.
        wanted: &'static str,
        /// The type of the state that it was given.
        found: &'static str,
    },
    /// A record that the task made does not fit into a block.
    #[error("a result cannot be kept: {0}")]
    Result(#[from] PushError),
    /// The format of an output cannot hold a record.
    #[error("{why}")]
    Output {
        /// The output.
        output: OutputId,
        /// Which record, and why.
        why: String,
    },
}

/// A panic, and where it happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Panic {
    /// What it said.
    pub message: String,
    /// File and line.
    pub at: Option<(String, u32)>,
}

impl fmt::Display for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "panicked: {}", self.message)?;
        match &self.at {
            Some((file, line)) => write!(f, " ({file}:{line})"),
            None => Ok(()),
        }
    }
}
