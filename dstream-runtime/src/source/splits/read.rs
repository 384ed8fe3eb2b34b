//! Ranges of a source of a program's own, read on any worker.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use memchr::{memchr, memchr2};

use super::{OpenSplits, SplitSource};
use crate::connect::ConnectorUrl;
use crate::record::Format;
use crate::source::lines::PIECE;
use crate::source::reread::forward;
use crate::source::{Framing, Input, Piece, Range, ReadRange, Reread, SourceError, form};

/// Reads ranges of the source that a URL names, which is opened for the first of them.
pub(super) struct Reader {
    open: OpenSplits,
    url: ConnectorUrl,
    format: Format,
    opened: Mutex<Option<Arc<dyn SplitSource>>>,
}

impl Reader {
    pub(super) fn new(open: OpenSplits, url: &ConnectorUrl, format: Format) -> Self {
        Self { open, url: url.clone(), format, opened: Mutex::default() }
    }

    /// The source. One that cannot be opened is tried again when it is asked for again.
    pub(super) fn source(&self) -> Result<Arc<dyn SplitSource>, SourceError> {
        // Set whole or not at all.
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(source) = &*opened {
            return Ok(source.clone());
        }
        let source: Arc<dyn SplitSource> = (self.open)(&self.url, self.format)?.into();
        Ok(opened.insert(source).clone())
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Reread for Arc<Reader> {
    fn input(&self, ranges: &[Range]) -> Result<Input, SourceError> {
        ranges.iter().try_for_each(forward)?;
        let data = Ranges { ranges: ranges.to_vec(), reader: self.clone() };
        Ok(Input { ranges: ranges.to_vec(), data: Arc::new(data) })
    }
}

struct Ranges {
    ranges: Vec<Range>,
    reader: Arc<Reader>,
}

impl ReadRange for Ranges {
    fn read(&self, each: &mut dyn FnMut(Piece<'_>)) -> Result<(), SourceError> {
        let source = self.reader.source()?;
        let framing = match self.reader.format {
            Format::Csv => Framing::Csv(form::rows(&self.reader.url)?),
            format => Framing::of(format),
        };
        let format = self.reader.format;
        for range in &self.ranges {
            let mut pieces = Pieces {
                piece: Piece {
                    bytes: &[],
                    split: &range.split,
                    position: range.start,
                    numbered: true,
                    header: source.header().filter(|_| format == Format::Csv),
                    framing,
                    torn: None,
                },
                bytes: Vec::with_capacity(PIECE + (4 << 10)),
                format,
                number: range.start,
                each: &mut *each,
            };
            source.read(range, &mut |record| pieces.add(record))?;
            pieces.flush();
            let (given, wanted) = (pieces.number - range.start, range.end - range.start);
            if given != wanted {
                let (what, Range { start, end, .. }) = (range.split.to_string(), range);
                let why = format!(
                    "its source gave {given} records for the {wanted} from {start} to {end}: the same range must \
                     always have the same records"
                );
                return Err(SourceError::Data { what, why });
            }
        }
        Ok(())
    }
}

/// Makes pieces of records.
struct Pieces<'p, 'e> {
    /// The next piece, but for its bytes.
    piece: Piece<'p>,
    bytes: Vec<u8>,
    format: Format,
    /// The number of the next record.
    number: u64,
    each: &'e mut dyn FnMut(Piece<'_>),
}

impl Pieces<'_, '_> {
    fn add(&mut self, record: &[u8]) {
        match self.is_plain(record) {
            true => {
                self.push(record);
                self.bytes.push(b'\n');
                if self.bytes.len() >= PIECE {
                    self.flush();
                }
            }
            // It could end elsewhere than at the next line break, and is a piece of its own.
            false => {
                self.flush();
                self.push(record);
                let framing = match self.piece.framing {
                    Framing::Lines => Framing::Record,
                    other => other,
                };
                (self.each)(Piece { bytes: &self.bytes, framing, ..self.piece });
                self.bytes.clear();
                self.piece.position = self.number;
            }
        }
    }

    /// Whether the first line break behind it ends it, whatever it holds.
    fn is_plain(&self, record: &[u8]) -> bool {
        match self.piece.framing {
            Framing::Csv(rows) => match rows.dialect.quote {
                Some(quote) => memchr2(b'\n', quote, record).is_none(),
                None => memchr(b'\n', record).is_none(),
            },
            Framing::Lines | Framing::Record => memchr(b'\n', record).is_none(),
        }
    }

    fn push(&mut self, record: &[u8]) {
        self.bytes.extend_from_slice(record);
        if self.format == Format::Text && record.ends_with(b"\r") {
            // A decoder takes one away, as that of a line end.
            self.bytes.push(b'\r');
        }
        self.number += 1;
    }

    /// Gives what there is as a piece.
    fn flush(&mut self) {
        if !self.bytes.is_empty() {
            (self.each)(Piece { bytes: &self.bytes, ..self.piece });
            self.bytes.clear();
        }
        self.piece.position = self.number;
    }
}
