//! Files: one, those of a directory, or those that match a glob; plain, `.gz` or `.zst`.
//!
//! Files are taken in order of their names, cut at the ends of records. Plain files are only measured by the
//! cutter (which looks through CSV for quotes, as a line break within them ends nothing) and read by the tasks, with `pread` into a reused buffer: on a page-cached file of 1 GB
//! that was 0.95 to 1.17 times as fast as a fresh map with one thread, 0.9 to 1.15 with two, and a
//! file that shrinks under it is an error instead of a SIGBUS. Compressed files have no positions
//! to read from, so the cutter decodes them and the batch holds their bytes.

mod absent;
mod again;
mod content;
mod cursor;
mod fingerprint;
mod followed;
mod generations;
mod growing;
mod header;
mod held;
mod hole;
mod list;
mod located;
pub(super) mod names;
mod packed;
mod pattern;
mod remembered;
mod reread;
mod stored;
#[cfg(test)]
mod tests;
mod trouble;
mod twins;
mod unpack;
mod whole;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub(super) use packed::Packed;
pub(super) use stored::{About, Elsewhere, Named, Stored};
pub(super) use unpack::Unpack;

use super::connector::{ALL_FORMATS, Opener, SourceConnector};
use super::form::Form;
use super::{Ends, OpenOptions, Reread, Source, SourceError, pipe};
use crate::connect::{ConnectorUrl, OptionRow};
use crate::record::Format;

/// How much a batch takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Want {
    /// About this number of bytes: to the first line end at or after them.
    Bytes(u64),
    /// Exactly this number of lines.
    Lines(u64),
}

impl Want {
    pub(super) fn is_nothing(self) -> bool {
        matches!(self, Self::Bytes(0) | Self::Lines(0))
    }

    /// The same, and at most this many bytes. A number of lines stays what it is: it was asked for.
    fn within(self, bytes: u64) -> Self {
        match self {
            Self::Bytes(want) => Self::Bytes(want.min(bytes.max(1))),
            Self::Lines(want) => Self::Lines(want),
        }
    }

    /// What is still wanted after `bytes` and `lines`.
    pub(super) fn less(self, bytes: u64, lines: u64) -> Self {
        match self {
            Self::Bytes(want) => Self::Bytes(want.saturating_sub(bytes)),
            Self::Lines(want) => Self::Lines(want.saturating_sub(lines)),
        }
    }
}

/// The options of the URL.
#[derive(Debug, Clone)]
pub(super) struct Config {
    pub(super) path: PathBuf,
    pub(super) batch: Want,
    /// Whether the URL says how much a batch takes.
    pub(super) sized: bool,
    pub(super) split: u64,
    pub(super) max_line: u64,
    pub(super) form: Form,
    /// For how long a new file is held back that so far is the same as another one, and the rest of one that is
    /// gone is waited for: longer than it takes to write a copy of a log to a disk, once it is written.
    settle: Duration,
    /// Whether a followed file that cannot be read ends the job.
    stops: bool,
}

/// A batch of a bounded source, unless the URL says otherwise.
const BATCH: u64 = 64 << 20;
/// The most that a batch of a live source takes, all of which is held in memory: what is left of a longer
/// backlog comes with the next ones.
const LIVE_BATCH: u64 = 64 << 20;
const MAX_LINE: u64 = 128 << 20;

/// Files and pipes.
pub(super) const CONNECTOR: SourceConnector = SourceConnector {
    scheme: "file",
    urls: &["file://PATH", "PATH", "-"],
    about: "a file, a directory or a glob, also gzip or zstd; `-` or a named pipe: what comes through it",
    ends: Ends::If("ends, unless `follow`"),
    formats: ALL_FORMATS,
    options: &[
        OptionRow::size("batch", "About how much a batch takes, to the next end of a record")
            .depends("64MiB; of a pipe, what comes in a batch interval"),
        OptionRow::count("batch_records", 1, "How many records a batch takes, instead of `batch`"),
        OptionRow::size("split", "How much one task reads").or("32MiB"),
        OptionRow::size("max_line", "The longest record; a longer one is a dead letter")
            .depends("128MiB; of CSV rows over several lines, 1MiB"),
        OptionRow::flag("follow", "Go on with what is appended, and with new files"),
        OptionRow::choice(
            "on_file_error",
            &["skip", "stop"],
            "With `follow`: a file that cannot be read is reported and tried again, or stops the job",
        )
        .or("skip"),
        OptionRow::time(
            "settle",
            "With `follow`: how long a new file waits that equals another one so far, and may be a copy of it",
        )
        .or("5s"),
    ],
    lacks: &[],
    opener: Opener::Ranges { open, reread },
};

fn open(
    url: &ConnectorUrl,
    format: Format,
    options: &OpenOptions,
) -> Result<Box<dyn Source>, SourceError> {
    let (config, follow) = config(url, format, options)?;
    if let Some(stream) = pipe::Stream::at(&config.path) {
        return Ok(Box::new(pipe::PipeSource::open(stream, config, options.interval, follow)?));
    }
    let place = config.path.clone();
    let source: Box<dyn Source> = if follow {
        Box::new(growing::GrowingFiles::open(config)?)
    } else {
        Box::new(whole::WholeFiles::open(config)?)
    };
    Ok(Box::new(located::Located::at(&place, source)))
}

/// What reads ranges of these files that another process has cut.
fn reread(
    url: &ConnectorUrl,
    format: Format,
    options: &OpenOptions,
) -> Result<Box<dyn Reread>, SourceError> {
    let (config, followed) = config(url, format, options)?;
    let Config { form, max_line, .. } = config;
    Ok(Box::new(reread::Files::new(stored::Reading { form, max_line, followed })))
}

/// What the URL says, and whether the files are followed.
fn config(
    url: &ConnectorUrl,
    format: Format,
    options: &OpenOptions,
) -> Result<(Config, bool), SourceError> {
    if url.place().is_empty() {
        let why = "the path is missing: write `file:///dir/file` or `file://dir/*.csv`";
        return Err(url.fail(why).into());
    }
    let follow = url.flag("follow")?;
    let size = url.if_given("batch", ConnectorUrl::size)?;
    let records = url.if_given("batch_records", ConnectorUrl::count)?;
    let sized = size.is_some() || records.is_some();
    let batch = match records {
        Some(_) if size.is_some() => {
            return Err(url.fail("`batch` and `batch_records` exclude each other").into());
        }
        Some(lines) => Want::Lines(lines),
        None => Want::Bytes(size.unwrap_or(if follow { LIVE_BATCH } else { BATCH })),
    };
    let followed = ["on_file_error", "settle"].into_iter().find(|name| url.has(name));
    if let Some(option) = followed.filter(|_| !follow) {
        let why = format!(
            "`{option}` is for files that are followed (`follow`): of others, one that cannot be read is an error"
        );
        return Err(url.fail(why).into());
    }
    let config = Config {
        path: url.path().to_owned(),
        batch,
        sized,
        split: url.size("split")?,
        max_line: url.if_given("max_line", ConnectorUrl::size)?.unwrap_or(MAX_LINE),
        form: Form::of(url, format, options)?,
        settle: url.time("settle")?,
        stops: url.choice("on_file_error")? == "stop",
    };
    Ok((config, follow))
}

fn io(doing: &'static str, path: &Path, error: std::io::Error) -> SourceError {
    SourceError::Io { doing, what: names::text(path), error: Arc::new(error) }
}

fn data(path: &Path, why: impl Into<String>) -> SourceError {
    SourceError::Data { what: names::text(path), why: why.into() }
}
