//! Outputs: where results leave.
//!
//! A task of an output's stage encodes its partition into a [`Part`]; when all parts of a batch are
//! there and the batch is committed, the batch is published, once, whole, in batch order.

mod connector;
mod earlier;
mod files;
mod function;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod manifest;
mod memory;
mod staging;
mod stdout;

use std::io;
use std::sync::Arc;

pub use connector::{OpenSink, SinkConnector, SinkContext, Sinks, dialect, floats};
pub(crate) use function::pack;
pub use function::{BatchFunction, BatchPart, BatchRows, FUNCTION, Outcome};
pub use memory::{MemorySink, Published};

use crate::connect::UrlError;

use crate::host::limits;
use crate::id::Partition;
use crate::record::{Floats, Format};
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
    /// The CSV header of the record type, without line break; empty for other formats.
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

    /// What happens with floats that JSON has no numbers for, where the URL of the output says nothing.
    fn floats(&self) -> Floats {
        Floats::Refuse
    }

    /// Makes a batch visible: whole or not at all. A batch that is there already with the same
    /// content is a success (a batch may run again after a restart).
    ///
    /// # Errors
    /// When it cannot be written. Nothing of the batch is visible then, or it may be given again and is
    /// made visible once all the same; if the error [may pass](SinkError::may_pass), it will be.
    fn publish(&mut self, batch: &Batch) -> Result<(), SinkError>;

    /// Whether a batch without records is shown too. If not, many such batches in a row may be left out, and
    /// `publish` makes nothing of those that it is given.
    fn publishes_empty(&self) -> bool {
        false
    }

    /// What was published there last, before it was opened, if it keeps what it is given.
    ///
    /// # Errors
    /// When that cannot be seen.
    fn earlier(&self) -> Result<Option<Earlier>, SinkError> {
        Ok(None)
    }

    /// What it publishes to, as a text that tells it from other places on any host; none if that is not known.
    fn place(&self) -> Option<String> {
        None
    }

    /// Whether it writes to a reader that may close it, such as standard output. When a reader closes its output the
    /// job ends if all its outputs are such; otherwise it goes on without that one.
    fn has_reader(&self) -> bool {
        false
    }

    /// Whether `publish` never waits for I/O, so that it may run on the engine's thread.
    fn immediate(&self) -> bool {
        false
    }
}

/// What an earlier run has published at an output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Earlier {
    /// Where.
    pub place: String,
    /// Its newest batch.
    pub newest: BatchTime,
    /// The job that published it, if that is written there.
    pub job: Option<String>,
    /// The output of that job.
    pub output: Option<String>,
}

/// What an output is opened for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// The job, as what it publishes names it; may be empty.
    pub job: String,
}

/// The URL of an output of `print`: standard output, each batch under a line with its name and time.
pub const PRINT: &str = "print:";

/// [`Sinks::open`], of the outputs of this crate.
///
/// # Errors
/// See there.
pub fn open(url: &str, name: &str, options: &Options) -> Result<Box<dyn Sink>, SinkError> {
    Sinks::built_in().open(url, name, options)
}

/// Whether standard output can be written.
fn is_open() -> Result<(), SinkError> {
    limits::is_open(1).map_err(|error| SinkError::Io {
        doing: "write to",
        what: "standard output".to_owned(),
        error: Arc::new(error),
    })
}

/// What stands for an output of `print` where the display of the job shows its first records.
#[must_use]
pub fn shown() -> Box<dyn Sink> {
    Box::new(stdout::ShownSink)
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
    #[error("cannot {doing} {what}: {error}{}", limits::help(error))]
    Io {
        /// `create`, `write`, `publish` …
        doing: &'static str,
        /// The file or directory.
        what: String,
        /// The system's error.
        error: Arc<std::io::Error>,
    },
    /// The batch was published before with other content.
    #[error("batch {time} of {what} was published before with other content: {why}{}", origin.said())]
    Conflict {
        /// The batch.
        time: BatchTime,
        /// The output.
        what: String,
        /// How the two differ.
        why: String,
        /// What the one before was made from.
        origin: Origin,
    },
    /// The batch was published before as it should be, and what is there now is not whole any more.
    #[error(
        "batch {time} of {what} was published before, and was removed or changed in part since: {why}"
    )]
    Damaged {
        /// The batch.
        time: BatchTime,
        /// The output.
        what: String,
        /// What is missing or changed.
        why: String,
    },
    /// The reader of the output has gone: nothing more can be delivered, and nothing is wrong.
    #[error("{what} was closed by its reader")]
    Closed {
        /// The output.
        what: String,
    },
}

impl From<UrlError> for SinkError {
    fn from(UrlError { url, why }: UrlError) -> Self {
        Self::Url { url, why }
    }
}

impl SinkError {
    /// An I/O error, met while `doing` (`create`, `write`, …) something to `what`.
    #[must_use]
    pub fn io(doing: &'static str, what: impl Into<String>, error: io::Error) -> Self {
        Self::Io { doing, what: what.into(), error: Arc::new(error) }
    }

    /// Whether the same batch may be taken a moment later: a disk that is full, a directory that is not
    /// there. What depends on the batch or on what is there already stays as it is.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Io { error, .. } => !matches!(
                error.kind(),
                io::ErrorKind::InvalidData
                    | io::ErrorKind::InvalidInput
                    | io::ErrorKind::InvalidFilename
                    | io::ErrorKind::FileTooLarge
                    | io::ErrorKind::Unsupported
            ),
            Self::Url { .. }
            | Self::Conflict { .. }
            | Self::Damaged { .. }
            | Self::Closed { .. } => false,
        }
    }
}

/// What a batch was made from that is there already with other content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The same program and the same input: one of the two results depends on something else.
    Same,
    /// Another program, by the hash of its plan.
    OtherProgram,
    /// The same program, and other input or another number of partitions.
    OtherInput,
    /// It is written nowhere.
    Unknown,
}

impl Origin {
    /// For people, as the end of a sentence.
    fn said(self) -> &'static str {
        match self {
            Self::Same => ", by this program from the same input",
            Self::OtherProgram => ", by another program",
            Self::OtherInput => ", from other input or with other --partitions",
            Self::Unknown => "",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A batch of these parts, made from two ranges.
    pub(super) fn batch(time: u64, parts: Vec<Part>) -> Batch {
        let range = |start| Range { split: "views.csv".into(), start, end: start + 10 };
        let inputs = [("views".to_owned(), range(0)), ("views".to_owned(), range(10))];
        Batch { time: BatchTime(time), parts, inputs: inputs.into(), plan: 0xabcd }
    }

    /// A part of those lines.
    pub(super) fn part(partition: u32, lines: &str) -> Part {
        Part {
            partition: Partition(partition),
            records: lines.lines().count() as u64,
            bytes: Arc::new(lines.as_bytes().to_vec()),
            header: Arc::from(b"key,n".as_slice()),
        }
    }

    #[test]
    fn what_depends_on_the_outside_may_pass() {
        let io = |kind: io::ErrorKind| SinkError::Io {
            doing: "write",
            what: "part".into(),
            error: Arc::new(kind.into()),
        };
        for passing in [io::ErrorKind::StorageFull, io::ErrorKind::PermissionDenied] {
            assert!(io(passing).may_pass());
        }
        assert!(io(io::ErrorKind::NotFound).may_pass());
        let eio = SinkError::Io {
            doing: "sync",
            what: "part".into(),
            error: Arc::new(io::Error::from_raw_os_error(5)),
        };
        assert!(eio.may_pass());
        assert!(!io(io::ErrorKind::InvalidData).may_pass());
        assert!(!SinkError::Closed { what: "it".into() }.may_pass());
    }

    #[test]
    fn urls_open_what_they_say() {
        let options = Options::default();
        let open = |url: &str| open(url, "counts", &options);
        assert_eq!(open("json+stdout:").unwrap().format(), Some(Format::Json));
        let none = open("none:").unwrap();
        assert!(none.format().is_none() && none.immediate());
        assert!(matches!(open("csv:out"), Err(SinkError::Url { .. })));
        let dir = tempfile::tempdir().unwrap();
        let url = format!("csv+file://{}/a/b", dir.path().display());
        assert_eq!(open(&url).unwrap().format(), Some(Format::Csv));
        assert!(dir.path().join("a/b").is_dir());
        std::fs::write(dir.path().join("file"), "").unwrap();
        let url = format!("csv+file://{}/file", dir.path().display());
        assert!(matches!(open(&url), Err(SinkError::Io { .. })));
    }
}
