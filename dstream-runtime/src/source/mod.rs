//! Inputs: where records enter.
//!
//! A source is cut once per batch into *ranges*; a range is the lineage of what is read from it, and
//! one range is the input of one map task. Cutting and reading are separate: the cut is made by one
//! thread in batch order and may wait for nothing but the disk; reading happens on executor threads,
//! in parallel, and the same range read twice gives the same bytes.

pub mod decode;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A piece of one split of a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// What is split: a file, a connection, a generator's stream.
    pub split: Arc<str>,
    /// First position: a byte offset (of the decompressed data) or a record number.
    pub start: u64,
    /// One past the last.
    pub end: u64,
}

/// One map task's share of a batch.
#[derive(Clone)]
pub struct Input {
    /// Its lineage. Several ranges where small files are taken together.
    pub ranges: Vec<Range>,
    /// How to read it.
    pub data: Arc<dyn ReadRange>,
}

/// Reads an input, any number of times, from any thread.
pub trait ReadRange: Send + Sync {
    /// Calls `each` with consecutive pieces, each made of whole lines (the last line of a split may
    /// lack its line break). Pieces are small enough to stay in the cache where lines are short.
    ///
    /// # Errors
    /// When the data cannot be read, or is not what was cut.
    fn read(&self, each: &mut dyn FnMut(Piece<'_>)) -> Result<(), SourceError>;
}

/// Consecutive whole lines.
#[derive(Debug, Clone, Copy)]
pub struct Piece<'a> {
    /// The lines, line breaks included.
    pub bytes: &'a [u8],
    /// The split they come from, for dead letters.
    pub split: &'a str,
    /// Position of the first byte in the split.
    pub position: u64,
    /// The header row of the file, for formats that have one.
    pub header: Option<&'a str>,
}

/// What a batch takes from a source.
#[derive(Clone, Default)]
pub struct Cut {
    /// At most as many inputs as were asked for; possibly none.
    pub inputs: Vec<Input>,
    /// Nothing will come after this.
    pub ended: bool,
}

/// An opened source.
pub trait Source: Send {
    /// Whether it ends by itself. A bounded source is cut as fast as batches run; a live one at every
    /// batch interval.
    fn bounded(&self) -> bool;

    /// Takes the input of the next batch, in at most `partitions` inputs. Called once per batch, in
    /// order. A live source takes what has arrived; a bounded one what `?batch=` says.
    ///
    /// # Errors
    /// When the source cannot be read any more.
    fn cut(&mut self, partitions: usize) -> Result<Cut, SourceError>;

    /// Whether `cut` neither blocks nor touches a disk, so that it may run on the engine's thread.
    fn immediate(&self) -> bool {
        false
    }

    /// Stops taking in new data (closes listeners); what was received can still be cut.
    fn stop(&mut self) {}
}

/// Why a source cannot be opened or read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SourceError {
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
        /// `open`, `read`, `list`, `listen on` …
        doing: &'static str,
        /// The file, directory or address.
        what: String,
        /// The system's error.
        error: Arc<std::io::Error>,
    },
    /// The data is not what it was, or what it claims to be.
    #[error("{what}: {why}")]
    Data {
        /// The file.
        what: String,
        /// What is wrong with it.
        why: String,
    },
}
