//! Outputs: where results leave.
//!
//! A task of an output's stage encodes its partition into a [`Part`]; when all parts of a batch are
//! there and the batch is committed, the batch is published, once, whole, in batch order.

use std::sync::Arc;

use crate::id::Partition;
use crate::record::Format;
use crate::source::Range;
use crate::time::BatchTime;

/// One partition of one output of one batch, encoded.
#[derive(Debug, Clone)]
pub struct Part {
    /// The partition.
    pub partition: Partition,
    /// Number of records.
    pub records: u64,
    /// The records in the sink's format, a line break after each; empty for a sink that only counts.
    pub bytes: Arc<Vec<u8>>,
    /// The CSV header of the record type, without line break; empty where it has none.
    pub header: Arc<[u8]>,
}

/// Everything a batch publishes at one output.
#[derive(Debug, Clone)]
pub struct Batch {
    /// The end of the batch's interval.
    pub time: BatchTime,
    /// Its parts by partition; empty parts may be absent.
    pub parts: Vec<Part>,
    /// What was read to make it: (source, range).
    pub inputs: Arc<[(String, Range)]>,
    /// Fingerprint of the plan.
    pub plan: u64,
}

/// An opened output.
pub trait Sink: Send {
    /// How parts are encoded; `None` for a sink that only counts.
    fn format(&self) -> Option<Format>;

    /// Makes a batch visible: whole or not at all. A batch that is there already with the same
    /// content is a success (a batch may run again after a restart).
    ///
    /// # Errors
    /// When it cannot be written; nothing of the batch is visible then.
    fn publish(&mut self, batch: &Batch) -> Result<(), SinkError>;

    /// Whether `publish` never waits for I/O, so that it may run on the engine's thread.
    fn immediate(&self) -> bool {
        false
    }
}

/// Why an output cannot be opened or written.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SinkError {
    /// The URL is malformed or has an option that this scheme does not know.
    #[error("`{url}`: {why}")]
    Url {
        /// The URL.
        url: String,
        /// What is wrong and what would be right.
        why: String,
    },
    /// An I/O error.
    #[error("cannot {doing} {what}: {error}")]
    Io {
        /// `create`, `write`, `publish` …
        doing: &'static str,
        /// The file or directory.
        what: String,
        /// The system's error.
        error: Arc<std::io::Error>,
    },
    /// The batch was published before with other content.
    #[error("batch {time} of {what} was published before with other content: {why}")]
    Conflict {
        /// The batch.
        time: BatchTime,
        /// The output.
        what: String,
        /// How the two differ.
        why: String,
    },
}
