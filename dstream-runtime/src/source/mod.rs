//! Inputs: where records enter.
//!
//! A source is cut once per batch into *ranges*; a range is the lineage of what is read from it, and
//! one range is the input of one map task. Cutting and reading are separate: the cut is made by one
//! thread in batch order and may wait for nothing but the disk; reading happens on executor threads,
//! in parallel, and the same range read twice gives the same bytes.
//!
//! Another process reads an input too: from its ranges ([`reread`]), or, where only the process that
//! cut it has the data, from blocks that are carried there ([`Input::carried`]). In a cluster, what
//! clients push (`tcp`, `http`) is received by the workers ([`receive`]).
//!
//! Each kind of source is a folder and a row, a [`SourceConnector`]; [`Sources`] is the list of them, and turns a URL
//! into a source.

mod batching;
mod carry;
mod changed;
mod connector;
mod decode;
#[cfg(test)]
mod elsewhere;
mod file;
mod form;
mod framing;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod generate;
mod lines;
mod mask;
mod memory;
mod one_batch;
mod part;
mod pipe;
mod position;
pub mod receive;
mod reread;
#[cfg(test)]
mod resumed;
mod splits;
mod table;
mod tcp;
#[cfg(test)]
mod texts;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub(crate) use batching::instead;
pub use batching::{Batching, batching};
pub use carry::Carried;
pub(crate) use connector::{Ends, shared_options};
pub use connector::{SourceConnector, Sources};
pub use decode::{Check, CsvRows, DeadLetter, Decode, DecodeScratch, JsonLines, TextLines};
pub use framing::{Framing, Rows};
pub use memory::MemorySource;
pub(crate) use one_batch::OneBatch;
pub use reread::{Reread, reread};
pub use splits::{Extent, OpenSplits, SplitSource};
pub(crate) use table::Table;

use crate::block::Block;
use crate::connect::{self, ConnectorUrl, FLOATS, OptionRow, UrlError};
use crate::host::limits;
use crate::id::BatchSeq;
use crate::record::{Floats, Format, Schema};

/// What the program and the engine say about a source that is opened, beside its URL.
#[derive(Debug, Clone)]
pub struct OpenOptions {
    /// The batch interval: how much of its rate a live generator puts into a batch.
    pub interval: Duration,
    /// Whether CSV starts with a header row where the URL does not say so with `header=`: true if
    /// the record is a struct.
    pub header_default: bool,
    /// What the records are. A header of CSV is checked against it; without `header=`, a first row that is
    /// exactly its [`column_names`](crate::record::column_names) is a header too.
    pub schema: Option<Schema>,
    /// How many bytes a receiver may hold that no batch has taken, whatever its URL says: the memory that
    /// there is for it.
    pub memory: u64,
    /// What a receiver knows of the records, to tell its clients which it cannot read.
    pub check: Option<Check>,
}

impl Default for OpenOptions {
    fn default() -> Self {
        let interval = Duration::from_secs(1);
        Self { interval, header_default: false, schema: None, memory: u64::MAX, check: None }
    }
}

/// What happens with a record that cannot be parsed: the option `on_error=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnError {
    /// It goes to the dead letters and is counted.
    #[default]
    Skip,
    /// It stops the job.
    Stop,
}

/// What happens with a record for which a function of the program panics: the option `on_panic=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnPanic {
    /// Its task is tried again, and then stops the job.
    #[default]
    Stop,
    /// It goes to the dead letters and is counted.
    DeadLetter,
}

/// What happens with records that cannot be processed: options that every source has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Policy {
    /// If they cannot be parsed.
    pub on_error: OnError,
    /// If a function of the program panics for them.
    pub on_panic: OnPanic,
    /// If a float in JSON is the string `"NaN"`, `"Infinity"` or `"-Infinity"`.
    pub floats: Floats,
}

/// The option `on_error`.
const ON_ERROR: OptionRow = OptionRow::choice(
    "on_error",
    &["skip", "stop"],
    "A record that cannot be parsed goes to the dead letters, or stops the job",
)
.or("skip");

/// The option `on_panic`.
const ON_PANIC: OptionRow = OptionRow::choice(
    "on_panic",
    &["stop", "dead_letter"],
    "A record for which a function of the program panics stops the job, or goes to the dead letters",
)
.or("stop");

/// The options that every source has.
static POLICY_OPTIONS: [OptionRow; 2] = [ON_ERROR, ON_PANIC];

/// What the URL of a source says about records that cannot be processed. One that is malformed says nothing:
/// the error comes when it is opened.
#[must_use]
pub fn policy(url: &str) -> Policy {
    let read = || {
        let url = ConnectorUrl::source(url)?;
        let on_error = url.word_of(&ON_ERROR)?.map(|word| match word {
            "stop" => OnError::Stop,
            _ => OnError::Skip,
        });
        let on_panic = url.word_of(&ON_PANIC)?.map(|word| match word {
            "dead_letter" => OnPanic::DeadLetter,
            _ => OnPanic::Stop,
        });
        let (on_error, on_panic) = (on_error.unwrap_or_default(), on_panic.unwrap_or_default());
        let floats = connect::floats(url.word_of(&FLOATS)?).unwrap_or_default();
        Ok::<_, UrlError>(Policy { on_error, on_panic, floats })
    };
    read().unwrap_or_default()
}

/// The URL, as text, of what was given as any bytes: bytes that are not UTF-8 are escaped.
#[must_use]
pub fn url_of(given: &std::ffi::OsStr) -> String {
    file::names::url(given)
}

/// [`Sources::open`], of the sources of this crate.
///
/// # Errors
/// See there.
pub fn open(
    url: &str,
    format: Format,
    options: &OpenOptions,
) -> Result<Box<dyn Source>, SourceError> {
    Sources::built_in().open(url, format, options)
}

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
    /// Calls `each` with consecutive pieces, each made of whole records (the last one of a split may
    /// lack its line break). Pieces are small enough to stay in the cache where records are short.
    ///
    /// # Errors
    /// When the data cannot be read, or is not what was cut.
    fn read(&self, each: &mut dyn FnMut(Piece<'_>)) -> Result<(), SourceError>;

    /// The same, until `goes_on` says no: no piece follows then. Worth a method of its own where an
    /// unused piece costs something to make.
    ///
    /// # Errors
    /// When the data cannot be read, or is not what was cut.
    fn read_while(
        &self,
        goes_on: &dyn Fn() -> bool,
        each: &mut dyn FnMut(Piece<'_>),
    ) -> Result<(), SourceError> {
        let mut goes = true;
        self.read(&mut |piece| {
            goes = goes && goes_on();
            if goes {
                each(piece);
            }
        })
    }

    /// See [`Input::carried`].
    ///
    /// # Errors
    /// When the data cannot be read, or is not what was cut.
    fn carried(&self) -> Result<Option<(Carried, Vec<Block>)>, SourceError> {
        Ok(None)
    }
}

impl Input {
    /// What must travel beside the ranges, for another process to read this input: nothing if it can
    /// rebuild it by [`Reread::input`].
    ///
    /// # Errors
    /// When data that has to be read now cannot be, or is not what was cut.
    pub fn carried(&self) -> Result<Option<(Carried, Vec<Block>)>, SourceError> {
        self.data.carried()
    }

    /// The input that is made of what receivers have delivered: of all received blocks that `ranges` name, in
    /// that order.
    ///
    /// # Errors
    /// When the blocks are not what is said that they are.
    pub fn of_received_blocks(
        ranges: Vec<Range>,
        blocks: Vec<(Carried, Block)>,
    ) -> Result<Self, SourceError> {
        let mut parts = Vec::new();
        for (carried, block) in blocks {
            parts.extend(carry::parts(carried, vec![block])?.0);
        }
        Ok(Self { ranges, ..part::input(parts) })
    }

    /// The input that another process carried here: its pieces borrow from the blocks.
    ///
    /// # Errors
    /// When the blocks are not what `carried` says that they are.
    pub fn from_carried(carried: Carried, blocks: Vec<Block>) -> Result<Self, SourceError> {
        carry::unpack(carried, blocks)
    }
}

/// Consecutive whole records.
#[derive(Debug, Clone, Copy)]
pub struct Piece<'a> {
    /// The records, line breaks included.
    pub bytes: &'a [u8],
    /// The split they come from, for dead letters.
    pub split: &'a str,
    /// Position of the first byte in the split.
    pub position: u64,
    /// Whether positions of the split are numbers of records, not offsets in bytes.
    pub numbered: bool,
    /// The header row of the file, for formats that have one.
    pub header: Option<&'a str>,
    /// Where its records end.
    pub framing: Framing,
    /// Why this is no whole line but only the beginning of one, which can only be a dead letter.
    pub torn: Option<&'a str>,
}

impl Piece<'_> {
    /// The position of the record that begins at this byte of the piece.
    #[must_use]
    pub fn position_at(&self, offset: usize) -> u64 {
        let before = match self.numbered {
            true => self.framing.records(&self.bytes[..offset]),
            false => offset as u64,
        };
        self.position + before
    }
}

/// How far a source has come with a batch. Of several, the one that is least decides what can still come.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum Reach {
    /// Some of its splits have data and have not been begun: their records may be older than all others.
    Waiting,
    /// It is read to its end, and all of its splits have been begun.
    Reading,
    /// It goes on.
    #[default]
    Live,
    /// It has ended by itself: nothing will come any more.
    Ended,
}

/// What a batch takes from a source.
#[derive(Clone, Default)]
pub struct Cut {
    /// At most as many inputs as were asked for; possibly none.
    pub inputs: Vec<Input>,
    /// Nothing will come after this.
    pub ended: bool,
    /// Some of its splits have data and have not been begun.
    pub waiting: bool,
    /// From where the next cut goes on, for [`Source::resume`] in another process; none of a source that
    /// cannot go on there.
    pub position: Option<Position>,
}

/// Ends the cut that waits at the moment, and lets no other one wait.
pub type Interrupt = Arc<dyn Fn() + Send + Sync>;

/// A stream of bytes that can be read once.
#[derive(Debug, Clone)]
pub struct Pipe {
    /// Its path, for people.
    pub name: String,
    device: u64,
    inode: u64,
}

impl PartialEq for Pipe {
    fn eq(&self, other: &Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }
}

/// What a source has met that people should know, and that did not keep it from going on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct News {
    /// Sentences, each said once.
    pub warnings: Vec<String>,
    /// How many files cannot be read now.
    pub unreadable: u64,
    /// How many bytes were lost since this was asked before: they are gone, and had not been read.
    pub lost: u64,
}

/// How far a source has been cut, in a form that only the source understands.
pub type Position = Arc<[u8]>;

/// An opened source.
pub trait Source: Send {
    /// Whether it ends by itself. A bounded source is cut as fast as batches run; a live one at every
    /// batch interval.
    fn bounded(&self) -> bool;

    /// Whether a batch of it is what one batch interval brings, so that windows of arrival time have a meaning:
    /// so it is for a live source, and for a generator with a rate.
    fn timed(&self) -> bool {
        !self.bounded()
    }

    /// Takes the input of the next batch, in at most `partitions` inputs. Called once per batch, in
    /// order. A live source takes what has arrived; a bounded one what `?batch=` says.
    ///
    /// # Errors
    /// When the source cannot be read any more.
    fn cut(&mut self, partitions: usize) -> Result<Cut, SourceError>;

    /// The next cut is that of this batch. There may be batches in between for which it was not asked: they have
    /// nothing of it.
    fn next_batch(&mut self, batch: BatchSeq) {
        let _ = batch;
    }

    /// About how many bytes the next cut of a live source is to bring at most: what the job can process in time. The
    /// rest waits, in order; but if anything waits, something is brought.
    fn limit(&mut self, bytes: u64) {
        let _ = bytes;
    }

    /// Goes on as after the cut that had this position, which another process made of the same URL. Called
    /// before the first cut, if at all.
    ///
    /// # Errors
    /// When it cannot go on there: the position is not one of its own, or what it names is not what it was.
    fn resume(&mut self, position: &[u8]) -> Result<(), SourceError> {
        let _ = position;
        Err(SourceError::Data {
            what: "the journal".to_owned(),
            why: "this source cannot go on where another process has stopped".to_owned(),
        })
    }

    /// The same, where the other process read something else under another URL, and that is accepted. A source
    /// begins anew, but for what it knows to have been read.
    ///
    /// # Errors
    /// When the position is damaged.
    fn resume_elsewhere(&mut self, position: &[u8]) -> Result<(), SourceError> {
        let _ = position;
        Ok(())
    }

    /// Whether what was not read and cannot be read any more is given up from here on: then it is news, not an error.
    fn give_up_unread(&mut self, gives_up: bool) {
        let _ = gives_up;
    }

    /// What has happened since this was asked before.
    fn news(&mut self) -> News {
        News::default()
    }

    /// An input that was cut before, perhaps by another process, made again from its ranges: also what
    /// [`reread`] cannot make. To be called after [`Source::resume`], which says under which names files
    /// were followed, and in the order of the cuts, as compressed files are decoded from their start.
    ///
    /// # Errors
    /// When the data is not there any more, or is not what was cut.
    fn input(&self, ranges: &[Range]) -> Result<Input, SourceError> {
        let what = ranges.first().map_or_else(|| "an input".to_owned(), |r| r.split.to_string());
        Err(SourceError::Data { what, why: "it cannot be read a second time".to_owned() })
    }

    /// Whether `cut` neither blocks nor touches a disk, so that it may run on the engine's thread.
    fn immediate(&self) -> bool {
        false
    }

    /// The pipe that it reads, if it reads one: no other source can read it, and after a restart nothing can.
    fn pipe(&self) -> Option<&Pipe> {
        None
    }

    /// What ends a cut that waits for data, from another thread, for a source whose cuts may wait long.
    fn interrupt(&self) -> Option<Interrupt> {
        None
    }

    /// Stops taking in new data (closes listeners); what was received can still be cut, until a cut
    /// says that it has ended.
    fn stop(&mut self) {}

    /// Where it listens, if it does.
    fn local_addr(&self) -> Option<SocketAddr> {
        None
    }
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
    #[error("cannot {doing} {what}: {error}{}", limits::help(error))]
    Io {
        /// `open`, `read`, `list`, `listen on` …
        doing: &'static str,
        /// The file, directory or address.
        what: String,
        /// The system's error.
        error: Arc<std::io::Error>,
    },
    /// The position is of another place.
    #[error("the job has read `{was}`, and the URL names `{is}`")]
    Moved {
        /// What was read.
        was: String,
        /// What the URL names.
        is: String,
    },
    /// The position is one of another kind of source.
    #[error(
        "the position in the journal is one of {was}, and the URL names {is}: give the URL that the job was \
         started with"
    )]
    Foreign {
        /// What was read.
        was: &'static str,
        /// What the URL names.
        is: &'static str,
    },
    /// What was asked of the source would give a wrong answer.
    #[error("{why}")]
    Refused {
        /// What would be wrong, and what to do.
        why: String,
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

impl SourceError {
    /// An I/O error, met while `doing` (`open`, `read`, …) something to `what`.
    #[must_use]
    pub fn io(doing: &'static str, what: impl Into<String>, error: std::io::Error) -> Self {
        Self::Io { doing, what: what.into(), error: Arc::new(error) }
    }

    /// Data that is not what it was, or what it claims to be.
    #[must_use]
    pub fn data(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Data { what: what.into(), why: why.into() }
    }
}

impl From<UrlError> for SourceError {
    fn from(UrlError { url, why }: UrlError) -> Self {
        Self::Url { url, why }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_say_what_happens_with_records_that_cannot_be_processed() {
        let is = policy("x?on_error=stop");
        assert_eq!((is.on_error, is.on_panic), (OnError::Stop, OnPanic::Stop));
        assert_eq!(policy("part-?.txt?on_panic=dead_letter").on_panic, OnPanic::DeadLetter);
        assert_eq!(policy("x?floats=string").floats, Floats::Strings);
        assert_eq!(policy("x"), Policy::default());
        let open =
            |url: &str| open(url, Format::Json, &OpenOptions::default()).err().unwrap().to_string();
        assert!(open("x?floats=null").contains("`string` or `refuse`"));
        assert!(open("x?on_panic=skip").contains("`dead_letter`"));
        assert_eq!(policy("x?on_panic=skip"), Policy::default());
    }
}
