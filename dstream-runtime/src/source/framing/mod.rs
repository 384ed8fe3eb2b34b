//! Where records begin and end in bytes.
//!
//! A *framing* says it for a format: what is cut into ranges, received from sockets and given to decoders is
//! whole records. Everything here is a function of the bytes from a known beginning of a record on. Records
//! end at line breaks; in CSV only at those outside quotes ([`Scan`]).

mod csv;
mod json;

use memchr::{memchr, memchr_iter, memrchr};
use serde::{Deserialize, Serialize};

pub(super) use self::csv::Scan;
pub(super) use self::json::{Outer, Unfold, Unfolded, unfold};
use super::lines::{self, Guarded, PIECE, TORN_HEAD};
use crate::record::{Dialect, Format};

/// Where the records of a source end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Framing {
    /// At every line break.
    Lines,
    /// At line breaks outside quotes.
    Csv(Rows),
    /// Nowhere within the bytes: they are one record, whatever they hold.
    Record,
}

/// Rows of CSV.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rows {
    /// The bytes with a meaning.
    pub dialect: Dialect,
    /// A row with line breaks within its fields is no longer than this, in bytes: one whose quotes are still open
    /// there ends at the next line break, and is a dead letter. Otherwise one quote too many would take the
    /// rest of the input with it.
    pub span: u64,
}

/// The `span` of rows, unless `max_line` says otherwise.
pub(super) const SPAN: u64 = 1 << 20;

impl Default for Rows {
    fn default() -> Self {
        Self { dialect: Dialect::default(), span: SPAN }
    }
}

impl Framing {
    /// That of a format where no URL says otherwise.
    #[must_use]
    pub fn of(format: Format) -> Self {
        match format {
            Format::Csv => Self::Csv(Rows::default()),
            Format::Text | Format::Json => Self::Lines,
        }
    }

    /// How rows are written, for a decoder of CSV.
    pub(super) fn rows(self) -> Rows {
        match self {
            Self::Csv(rows) => rows,
            Self::Lines | Self::Record => Rows::default(),
        }
    }

    /// What makes a line break part of a record.
    fn quote(self) -> Option<u8> {
        match self {
            Self::Lines | Self::Record => None,
            Self::Csv(rows) => rows.dialect.quote,
        }
    }

    /// Whether every line break ends a record, whatever the bytes.
    pub(super) fn is_by_lines(self) -> bool {
        self != Self::Record && self.quote().is_none()
    }

    /// The same for bytes that are known to have no quotes.
    pub(super) fn without_quotes(self) -> Self {
        match self {
            Self::Lines | Self::Record => self,
            Self::Csv(rows) => {
                let dialect = Dialect { quote: None, ..rows.dialect };
                Self::Csv(Rows { dialect, ..rows })
            }
        }
    }

    /// Rows that may go on after a line break in these bytes; none where every line break ends a record.
    fn quoted_rows(self, bytes: &[u8]) -> Option<Rows> {
        match self {
            Self::Csv(rows) if rows.dialect.quote.is_some_and(|q| memchr(q, bytes).is_some()) => {
                Some(rows)
            }
            _ => None,
        }
    }

    /// The end of the record that contains the byte before `at`: the first end at or after `at`.
    pub(super) fn record_end(self, bytes: &[u8], at: usize) -> Option<usize> {
        if self == Self::Record {
            return (at <= bytes.len()).then_some(bytes.len());
        }
        let Some(rows) = self.quoted_rows(bytes) else { return lines::line_end(bytes, at) };
        let (mut scan, mut from) = (Scan::new(rows), 0);
        while let Some(end) = scan.first_end(&bytes[from..]) {
            from += end;
            if from >= at {
                return Some(from);
            }
        }
        None
    }

    /// The end of the last whole record.
    pub(super) fn last_end(self, bytes: &[u8]) -> Option<usize> {
        match self.quoted_rows(bytes) {
            None if self == Self::Record => Some(bytes.len()),
            None => lines::last_line_end(bytes),
            Some(rows) => Scan::new(rows).last_end(bytes),
        }
    }

    /// Number of ends of records.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn count(self, bytes: &[u8]) -> u64 {
        match self.quoted_rows(bytes) {
            None if self == Self::Record => u64::from(!bytes.is_empty()),
            None => lines::count(bytes),
            Some(rows) => Scan::new(rows).count(bytes),
        }
    }

    /// Number of records, the last of which may lack its end.
    pub(super) fn records(self, bytes: &[u8]) -> u64 {
        match self.quoted_rows(bytes) {
            None if self == Self::Record => u64::from(!bytes.is_empty()),
            None => lines::records(bytes),
            Some(rows) => {
                let mut scan = Scan::new(rows);
                scan.count(bytes) + u64::from(scan.is_within())
            }
        }
    }

    /// The end of the `n`th record, which must be there; `n` counts from 1.
    pub(super) fn nth_end(self, bytes: &[u8], n: u64) -> Option<usize> {
        match self.quoted_rows(bytes) {
            None if self == Self::Record => (n == 1 && !bytes.is_empty()).then_some(bytes.len()),
            None => lines::nth_line_end(bytes, n),
            Some(rows) => Scan::new(rows).nth_end(bytes, n),
        }
    }

    /// The length of the first `n` records, with their ends.
    pub(crate) fn head(self, bytes: &[u8], n: u64) -> usize {
        if n == 0 { 0 } else { self.nth_end(bytes, n).unwrap_or(bytes.len()) }
    }

    /// The length of the first record, with its end.
    pub(crate) fn first(self, bytes: &[u8]) -> usize {
        if self == Self::Record {
            return bytes.len();
        }
        let line = memchr(b'\n', bytes).map_or(bytes.len(), |end| end + 1);
        // The bytes behind it are looked at only if they may belong to it.
        match self.quoted_rows(&bytes[..line]) {
            None => line,
            Some(rows) => Scan::new(rows).first_end(bytes).unwrap_or(bytes.len()),
        }
    }

    /// Cuts whole records into pieces of about [`PIECE`] bytes of whole records, with the offset of each.
    pub(super) fn pieces(self, bytes: &[u8], each: &mut dyn FnMut(usize, &[u8])) {
        if self == Self::Record && !bytes.is_empty() {
            return each(0, bytes);
        }
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            let length = if rest.len() <= PIECE {
                rest.len()
            } else {
                self.last_end(&rest[..PIECE])
                    .or_else(|| self.record_end(rest, PIECE))
                    .unwrap_or(rest.len())
            };
            each(at, &rest[..length]);
            at += length;
        }
    }

    /// Takes out records that are longer than `max_line`, line ends not counted.
    pub(super) fn guard(self, bytes: &[u8], max_line: u64, each: &mut dyn FnMut(Guarded<'_>)) {
        if bytes.len() as u64 <= max_line {
            return each(Guarded { at: 0, bytes, torn: None });
        }
        if self == Self::Record {
            let (torn, bytes) = (Some(bytes.len() as u64), &bytes[..bytes.len().min(TORN_HEAD)]);
            return each(Guarded { at: 0, bytes, torn });
        }
        let framing = if self.quoted_rows(bytes).is_some() { self } else { Self::Lines };
        let (mut frames, mut run, mut at) = (Frames::new(framing), 0, 0);
        while at < bytes.len() {
            let end = frames.first_end(&bytes[at..]).map_or(bytes.len(), |length| at + length);
            let length = (end - at) as u64;
            if length - u64::from(bytes[..end].ends_with(b"\n")) > max_line {
                if run < at {
                    each(Guarded { at: run, bytes: &bytes[run..at], torn: None });
                }
                let head = &bytes[at..end.min(at + TORN_HEAD)];
                each(Guarded { at, bytes: head, torn: Some(length) });
                run = end;
            }
            at = end;
        }
        if run < at {
            each(Guarded { at: run, bytes: &bytes[run..], torn: None });
        }
    }
}

/// Follows records over bytes that come in pieces.
#[derive(Debug, Clone)]
pub(super) enum Frames {
    Lines { within: bool },
    Csv(Scan),
}

impl Frames {
    /// At the beginning of a record.
    pub(super) fn new(framing: Framing) -> Self {
        match framing {
            Framing::Csv(rows) if rows.dialect.quote.is_some() => Self::Csv(Scan::new(rows)),
            _ => Self::Lines { within: false },
        }
    }

    /// Goes on to the first end of a record; over all of the bytes if there is none.
    pub(super) fn first_end(&mut self, bytes: &[u8]) -> Option<usize> {
        match self {
            Self::Lines { within } => {
                let end = memchr(b'\n', bytes).map(|at| at + 1);
                *within = end.is_none() && (*within || !bytes.is_empty());
                end
            }
            Self::Csv(scan) => scan.first_end(bytes),
        }
    }

    /// Goes over all of the bytes: the end of the last record that ends among them.
    pub(super) fn last_end(&mut self, bytes: &[u8]) -> Option<usize> {
        match self {
            Self::Lines { within } => {
                let end = memrchr(b'\n', bytes).map(|at| at + 1);
                *within = end.unwrap_or(0) < bytes.len() || end.is_none() && *within;
                end
            }
            Self::Csv(scan) => scan.last_end(bytes),
        }
    }

    /// Goes on to the end of the `n`th record from here, which must be there; `n` counts from 1.
    pub(super) fn nth_end(&mut self, bytes: &[u8], n: u64) -> Option<usize> {
        match self {
            Self::Lines { within } => {
                *within = false;
                lines::nth_line_end(bytes, n)
            }
            Self::Csv(scan) => scan.nth_end(bytes, n),
        }
    }

    /// Goes over all of the bytes: how many records end among them.
    pub(super) fn count(&mut self, bytes: &[u8]) -> u64 {
        match self {
            Self::Lines { within } => {
                *within = bytes.last().map_or(*within, |last| *last != b'\n');
                memchr_iter(b'\n', bytes).count() as u64
            }
            Self::Csv(scan) => scan.count(bytes),
        }
    }

    /// Whether a record has begun and not ended.
    pub(super) fn is_within(&self) -> bool {
        match self {
            Self::Lines { within } => *within,
            Self::Csv(scan) => scan.is_within(),
        }
    }

    /// Whether a quote has been seen.
    pub(super) fn has_quotes(&self) -> bool {
        matches!(self, Self::Csv(scan) if scan.has_quotes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_whole_lines() {
        let mut bytes = Vec::new();
        for i in 0..100_000 {
            bytes.extend_from_slice(format!("line {i}\n").as_bytes());
        }
        bytes.extend(std::iter::repeat_n(b'x', 3 * PIECE));
        bytes.extend_from_slice(b"\nlast");
        let (mut together, mut sizes) = (Vec::new(), Vec::new());
        Framing::Lines.pieces(&bytes, &mut |at, piece| {
            assert_eq!(at, together.len());
            together.extend_from_slice(piece);
            assert!(piece.ends_with(b"\n") || together.len() == bytes.len());
            sizes.push(piece.len());
        });
        assert!(together == bytes);
        assert_eq!(sizes.iter().filter(|size| **size > PIECE).count(), 1);
        Framing::Lines.pieces(b"", &mut |_, _| panic!("no piece of nothing"));
    }

    #[test]
    fn a_record_is_one_whatever_it_holds() {
        let (record, text) = (Framing::Record, b"a\nb\n\"c");
        let all = Some(text.len());
        assert_eq!((record.record_end(text, 1), record.last_end(text)), (all, all));
        assert_eq!((record.count(text), record.records(text), record.records(b"")), (1, 1, 0));
        assert_eq!((record.nth_end(text, 1), record.nth_end(text, 2)), (all, None));
        assert_eq!((record.first(text), record.head(text, 3)), (text.len(), text.len()));
        let mut pieces = Vec::new();
        record.pieces(text, &mut |at, piece| pieces.push((at, piece.len())));
        assert_eq!(pieces, [(0, text.len())]);
        let mut guarded = Vec::new();
        record.guard(text, 3, &mut |part| guarded.push((part.at, part.torn)));
        assert_eq!(guarded, [(0, Some(text.len() as u64))]);
        assert!(!record.is_by_lines());
    }

    #[test]
    fn long_lines_are_taken_out() {
        let guarded = |text: &str, max_line| {
            let mut got = Vec::new();
            Framing::Lines.guard(text.as_bytes(), max_line, &mut |part| {
                got.push((part.at, String::from_utf8(part.bytes.to_vec()).unwrap(), part.torn));
            });
            got
        };
        let run = |at, text: &str| (at, text.to_owned(), None);
        let long = |at, text: &str| (at, text.to_owned(), Some(text.len() as u64));
        let text = "ab\nabc\nabcd\na\nabcd";
        assert_eq!(guarded(text, 100), [run(0, text)]);
        assert_eq!(
            guarded(text, 3),
            [run(0, "ab\nabc\n"), long(7, "abcd\n"), run(12, "a\n"), long(14, "abcd")]
        );
        assert_eq!(guarded("abcd\nab", 3), [long(0, "abcd\n"), run(5, "ab")]);
    }

    #[test]
    fn rows_with_line_breaks_are_whole() {
        let rows = Framing::of(Format::Csv);
        let mut bytes = Vec::new();
        for i in 0..60_000 {
            bytes.extend_from_slice(format!("{i},\"a\n\nb\"\n").as_bytes());
        }
        assert_eq!((rows.count(&bytes), rows.records(&bytes)), (60_000, 60_000));
        let (mut together, mut rest) = (0, bytes.len());
        rows.pieces(&bytes, &mut |at, piece| {
            assert_eq!(at, together);
            together += piece.len();
            rest -= piece.len();
            assert!(piece.ends_with(b"b\"\n"));
            assert!(piece.len() <= PIECE);
        });
        assert_eq!(rest, 0);
        let text = b"1,\"a\nb\"\n22,\"long\nlonger\"\n3,\n";
        assert_eq!(rows.record_end(text, 3), Some(8));
        assert_eq!(rows.record_end(text, 10), Some(25));
        assert_eq!((rows.last_end(text), rows.last_end(&text[..20])), (Some(28), Some(8)));
        assert_eq!(rows.nth_end(text, 2), Some(25));
        let mut torn = Vec::new();
        rows.guard(text, 9, &mut |part| torn.push((part.at, part.bytes.len(), part.torn)));
        assert_eq!(torn, [(0, 8, None), (8, 17, Some(17)), (25, 3, None)]);
        assert!(rows.without_quotes().is_by_lines() && !rows.is_by_lines());
    }
}
