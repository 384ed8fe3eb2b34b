//! Sources of a program's own: records with numbers, in splits, that can be read again.
//!
//! A program says what there is ([`SplitSource::extents`]) and reads ranges of it ([`SplitSource::read`]). Decided
//! here is all else: what a batch takes, how that is divided between tasks, from where a job goes on that starts
//! again, and that a range gives as many records as it has.

mod read;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use self::read::Reader;
use super::form::{Form, HeaderRow};
use super::position::{self, Kind};
use super::{Cut, Input, News, OpenOptions, Position, Range, Reread, Source, SourceError};
use crate::connect::{ConnectorUrl, OptionRow};
use crate::record::Format;

/// Records that lie somewhere and can be read again: what a program implements for a source of its own.
///
/// Records are numbered within *splits*: the partitions of a topic, the files of a directory, the shards of a table. A
/// *range* `start..end` of a split is a part of a batch: it is written into the journal, and whatever is computed from
/// it may be computed again at any time, by any process of the job. So
///
/// - **the same range always gives the same records**, byte for byte and in the same order, here and in every other
///   process. A record that has a number never changes, and no record gets a number below the `end` that
///   [`extents`](Self::extents) has named;
/// - every number is a place to cut: it is the engine that divides what there is between batches and tasks;
/// - the master asks for extents, and reads nothing. Each worker opens the source by its URL, when it reads its first
///   range. So the URL, with its options, must say all that there is to know, and mean the same on every host.
///
/// The engine keeps, for each split, the number of the next record to be read. That is the position of the source in
/// the journal: a job that starts again goes on there.
///
/// A source that panics stops the job, with what the panic said. One that cannot read a range now gives an error: its
/// task is tried again, elsewhere too, before the job stops.
pub trait SplitSource: Send + Sync + 'static {
    /// Whether it ends: a bounded source is read to the end of its extents, in batches of `?batch_records=`; of
    /// another one each batch takes what has come in its interval.
    fn bounded(&self) -> bool {
        true
    }

    /// The splits that there are now, and how far each reaches: asked on the master, once per batch. A split may come
    /// at any time. One that is not named any more is not read on.
    ///
    /// # Errors
    /// When that cannot be seen: the job stops.
    fn extents(&self) -> Result<Vec<Extent>, SourceError>;

    /// Gives each record of a range to `each`, in order: `range.end - range.start` of them. The bytes are a record in the
    /// format that the connector was opened for, without a line end: text (which may hold line breaks), one JSON value,
    /// or one row of CSV.
    ///
    /// Called on threads that run tasks, several at once.
    ///
    /// # Errors
    /// When the range cannot be read, or is not there any more.
    fn read(&self, range: &Range, each: &mut dyn FnMut(&[u8])) -> Result<(), SourceError>;

    /// Of CSV, the names of the columns as a row; without, columns are told by their order.
    fn header(&self) -> Option<&str> {
        None
    }

    /// About how many bytes a record has. It decides how many records a batch of a live source takes when it is behind,
    /// and how many make a task of their own.
    fn record_size(&self) -> u64 {
        100
    }
}

/// How far a split reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extent {
    /// Its name: it appears in errors, dead letters and manifests.
    pub split: Arc<str>,
    /// The number of the first record that can still be read.
    pub start: u64,
    /// One past the number of the last.
    pub end: u64,
}

impl Extent {
    /// A split of which all records are there, from number 0 to `end`.
    #[must_use]
    pub fn to(split: impl Into<Arc<str>>, end: u64) -> Self {
        Self { split: split.into(), start: 0, end }
    }
}

/// How a program opens a source of its own.
pub type OpenSplits = fn(&ConnectorUrl, Format) -> Result<Box<dyn SplitSource>, SourceError>;

/// How many records a batch of a bounded source takes, unless the URL says otherwise.
const BATCH_RECORDS: u64 = 1_000_000;

/// About how many bytes make a task of their own.
const SPLIT_BYTES: u64 = 256 << 10;

/// The option of every such source.
pub(super) static OPTIONS: [OptionRow; 1] = [OptionRow::count(
    "batch_records",
    1,
    "How many records a batch takes; of a live source, at most",
)
.depends("1000000; of a live source, what came in its interval")];

pub(super) fn open(
    open: OpenSplits,
    url: &ConnectorUrl,
    format: Format,
    options: &OpenOptions,
) -> Result<Box<dyn Source>, SourceError> {
    let reader = Reader::new(open, url, format);
    let source = reader.source()?;
    if let (Format::Csv, Some(header)) = (format, source.header()) {
        let form = Form { header: HeaderRow::Yes, ..Form::of(url, format, options)? };
        form.header(header.as_bytes()).map_err(|why| url.fail(why))?;
    }
    let records = url.if_given("batch_records", ConnectorUrl::count)?;
    let preset = if source.bounded() { BATCH_RECORDS } else { u64::MAX };
    Ok(Box::new(Splits {
        reader: Arc::new(reader),
        bounded: source.bounded(),
        source,
        place: format!("{}://{}", url.scheme(), url.place()),
        next: BTreeMap::new(),
        batch: records.unwrap_or(preset),
        limit: u64::MAX,
        stopped: false,
        gives_up: false,
        news: News::default(),
    }))
}

/// What reads ranges that another process has cut.
pub(super) fn reread(open: OpenSplits, url: &ConnectorUrl, format: Format) -> Box<dyn Reread> {
    Box::new(Arc::new(Reader::new(open, url, format)))
}

/// Cuts a source of a program's own.
struct Splits {
    reader: Arc<Reader>,
    source: Arc<dyn SplitSource>,
    bounded: bool,
    /// What positions are of.
    place: String,
    /// Per split, the number of the next record.
    next: BTreeMap<Arc<str>, u64>,
    /// How many records a batch takes at most.
    batch: u64,
    /// How many bytes the next cut may bring.
    limit: u64,
    stopped: bool,
    /// Whether records that are gone are given up.
    gives_up: bool,
    news: News,
}

/// What a position holds.
#[derive(Debug, Serialize, Deserialize)]
struct Place {
    place: String,
    next: BTreeMap<Arc<str>, u64>,
}

impl Splits {
    /// What can be read of each split and was not, by the names of the splits.
    fn unread(&mut self) -> Result<Vec<Range>, SourceError> {
        let mut extents = self.source.extents()?;
        extents.sort_by(|a, b| a.split.cmp(&b.split));
        let mut unread: Vec<Range> = Vec::with_capacity(extents.len());
        for Extent { split, start, end } in extents {
            let wrong = |why: String| {
                let what = format!("split `{split}` of {}", self.place);
                Err(SourceError::Data { what, why })
            };
            if unread.last().is_some_and(|last| last.split == split) {
                return wrong("is named twice by its source".to_owned());
            }
            let next = self.next.get(&split).copied().unwrap_or(start);
            if end < next || end < start {
                return wrong(format!("ends at record {end}, and {next} were read before"));
            }
            if next < start {
                let gone = format!("records {next} to {start} are gone, and were not read");
                if !self.gives_up {
                    return wrong(format!("{gone}; `--skip NAME` goes on without them"));
                }
                self.news.warnings.push(format!("split `{split}` of {}: {gone}", self.place));
            }
            unread.push(Range { split, start: next.max(start), end });
        }
        unread.retain(|range| range.start < range.end);
        Ok(unread)
    }

    /// How many records the next batch takes.
    fn wanted(&mut self) -> u64 {
        let limit = std::mem::replace(&mut self.limit, u64::MAX);
        if self.bounded {
            return self.batch;
        }
        // If anything waits, something is taken.
        self.batch.min(limit / self.record_size()).max(1)
    }

    fn record_size(&self) -> u64 {
        self.source.record_size().max(1)
    }

    fn position(&self) -> Result<Position, SourceError> {
        let place = Place { place: self.place.clone(), next: self.next.clone() };
        position::write(Kind::Splits, &place)
    }
}

/// Takes about as many records from each split that has enough: none waits for another one's backlog.
fn evenly(unread: &mut Vec<Range>, mut wanted: u64) {
    let mut by_length: Vec<usize> = (0..unread.len()).collect();
    by_length.sort_by_key(|at| unread[*at].end - unread[*at].start);
    let mut left = by_length.len() as u64;
    for at in by_length {
        let range = &mut unread[at];
        let taken = (range.end - range.start).min(wanted.div_ceil(left));
        range.end = range.start + taken;
        wanted -= taken;
        left -= 1;
    }
    unread.retain(|range| range.start < range.end);
}

/// Takes split by split, by their names.
fn in_order(unread: &mut Vec<Range>, mut wanted: u64) {
    for range in &mut *unread {
        let taken = (range.end - range.start).min(wanted);
        range.end = range.start + taken;
        wanted -= taken;
    }
    unread.retain(|range| range.start < range.end);
}

/// Divides ranges into `shares` of about equal numbers of records.
fn shares(ranges: &[Range], shares: u64) -> Vec<Vec<Range>> {
    let total: u64 = ranges.iter().map(|range| range.end - range.start).sum();
    let bound = |share: u64| (u128::from(total) * u128::from(share) / u128::from(shares)) as u64;
    let mut divided = vec![Vec::new()];
    let (mut share, mut done) = (1, 0);
    for range in ranges {
        let mut start = range.start;
        while start < range.end {
            if done == bound(share) && share < shares {
                share += 1;
                divided.push(Vec::new());
                continue;
            }
            let end = range.end.min(start + (bound(share) - done));
            let part = Range { split: range.split.clone(), start, end };
            divided.last_mut().expect("invariant: there is a first share").push(part);
            done += end - start;
            start = end;
        }
    }
    divided.retain(|share| !share.is_empty());
    divided
}

impl Source for Splits {
    fn bounded(&self) -> bool {
        self.bounded
    }

    fn cut(&mut self, partitions: usize) -> Result<Cut, SourceError> {
        if self.stopped {
            return Ok(Cut { ended: true, position: Some(self.position()?), ..Cut::default() });
        }
        let mut ranges = self.unread()?;
        let splits: Vec<Arc<str>> = ranges.iter().map(|range| range.split.clone()).collect();
        let all: u64 = ranges.iter().map(|range| range.end - range.start).sum();
        let wanted = self.wanted();
        if self.bounded {
            in_order(&mut ranges, wanted)
        } else {
            evenly(&mut ranges, wanted)
        }
        let taken: u64 = ranges.iter().map(|range| range.end - range.start).sum();
        for range in &ranges {
            self.next.insert(range.split.clone(), range.end);
        }
        let tasks = taken.saturating_mul(self.record_size()).div_ceil(SPLIT_BYTES);
        let tasks = tasks.min(taken).clamp(1, partitions.max(1) as u64);
        let inputs = shares(&ranges, tasks);
        let inputs = inputs.iter().map(|ranges| self.reader.input(ranges));
        let inputs = inputs.collect::<Result<_, _>>()?;
        let ended = self.bounded && taken == all;
        let waiting = splits.iter().any(|split| !self.next.contains_key(split));
        Ok(Cut { inputs, ended, waiting, position: Some(self.position()?) })
    }

    fn limit(&mut self, bytes: u64) {
        self.limit = bytes;
    }

    fn resume(&mut self, position: &[u8]) -> Result<(), SourceError> {
        let Place { place, next } = position::read(Kind::Splits, position)?;
        if place != self.place {
            return Err(SourceError::Moved { was: place, is: self.place.clone() });
        }
        self.next = next;
        Ok(())
    }

    fn resume_elsewhere(&mut self, position: &[u8]) -> Result<(), SourceError> {
        match position::kind(position) {
            Some(Kind::Splits) => match self.resume(position) {
                Err(SourceError::Moved { .. }) => Ok(()),
                resumed => resumed,
            },
            _ => Ok(()),
        }
    }

    fn give_up_unread(&mut self, gives_up: bool) {
        self.gives_up = gives_up;
    }

    fn news(&mut self) -> News {
        std::mem::take(&mut self.news)
    }

    fn input(&self, ranges: &[Range]) -> Result<Input, SourceError> {
        self.reader.input(ranges)
    }

    fn stop(&mut self) {
        self.stopped = true;
    }
}
