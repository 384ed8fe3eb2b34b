//! From pieces to views of records.
//!
//! A decoder is a loop that the kernel's closure is compiled into: it allocates nothing per record,
//! and the views it gives borrow from the piece. What is no record becomes a [`DeadLetter`], one by
//! one; a decoder never fails as a whole.

mod columns;
mod csv;
mod json;
mod split;
#[cfg(test)]
mod tests;
mod text;

use std::cell::RefCell;

pub(super) use columns::{missing as missing_columns, names};
pub use csv::CsvRows;
pub(super) use csv::LONE_CR;
pub use json::JsonLines;
pub use text::TextLines;

use self::split::Lines;
use super::{Framing, Piece};
use crate::record::{Floats, Format, Record};

/// Turns pieces into records.
pub trait Decode: Send + Sync + 'static {
    /// What it makes.
    type Record: Record;
    /// What it reads.
    const FORMAT: Format;

    /// Gives each record of the piece to `each`, in order, and each line that is none to `dead`.
    fn decode(
        piece: Piece<'_>,
        scratch: &mut DecodeScratch,
        each: impl for<'a> FnMut(<Self::Record as Record>::View<'a>),
        dead: &mut dyn FnMut(DeadLetter<'_>),
    );
}

/// Tells of each record of a piece, in order, whether it can be read: nothing of one that can.
pub(super) type Tell<'t> = dyn FnMut(Option<DeadLetter<'_>>) + 't;

/// Reads records only to say which of them can be read.
#[derive(Debug, Clone, Copy)]
pub struct Check(fn(Piece<'_>, &mut DecodeScratch, &mut Tell<'_>));

impl Check {
    /// The records that `D` reads.
    #[must_use]
    pub fn of<D: Decode>() -> Self {
        Self(check::<D>)
    }

    /// Reads the records of a piece.
    pub(super) fn read(&self, piece: Piece<'_>, scratch: &mut DecodeScratch, tell: &mut Tell<'_>) {
        (self.0)(piece, scratch, tell);
    }
}

fn check<D: Decode>(piece: Piece<'_>, scratch: &mut DecodeScratch, tell: &mut Tell<'_>) {
    let tell = RefCell::new(tell);
    D::decode(piece, scratch, |_| (tell.borrow_mut())(None), &mut |letter| {
        (tell.borrow_mut())(Some(letter));
    });
}

/// A line that is no record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter<'a> {
    /// The split that it stands in.
    pub split: &'a str,
    /// Where in the split it begins.
    pub position: u64,
    /// The line, without its line end; of a torn one, its beginning.
    pub bytes: &'a [u8],
    /// Why it is no record.
    pub reason: String,
}

/// What decoders keep from piece to piece, so as not to make it anew.
#[derive(Debug, Default)]
pub struct DecodeScratch {
    /// How JSON holds floats that are not finite.
    floats: Floats,
    columns: columns::Columns,
    row: Vec<&'static str>,
    unquoted: csv::Unquoted,
}

impl DecodeScratch {
    /// For decoders that read floats in JSON in this way.
    #[must_use]
    pub fn new(floats: Floats) -> Self {
        Self { floats, ..Self::default() }
    }
}

/// A run of lines of a piece.
enum Run<'a> {
    /// Whole lines of text, at an offset of the piece.
    Text(usize, &'a str),
    /// A line that is not UTF-8.
    Bad(usize, &'a [u8]),
}

/// Gives the lines of a piece as text, nearly always all at once.
#[inline]
fn runs<'a>(bytes: &'a [u8], framing: Framing, mut each: impl FnMut(Run<'a>)) {
    match simdutf8::basic::from_utf8(bytes) {
        Ok(text) => each(Run::Text(0, text)),
        Err(_) => broken_runs(bytes, framing, &mut each),
    }
}

#[cold]
fn broken_runs<'a>(bytes: &'a [u8], framing: Framing, each: &mut dyn FnMut(Run<'a>)) {
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let error = match simdutf8::compat::from_utf8(rest) {
            Ok(text) => return each(Run::Text(at, text)),
            Err(error) => error.valid_up_to(),
        };
        let bad = framing.last_end(&rest[..error]).unwrap_or(0);
        if bad > 0
            && let Ok(text) = std::str::from_utf8(&rest[..bad])
        {
            each(Run::Text(at, text));
        }
        let end =
            bad + framing.record_end(&rest[bad..], error + 1 - bad).unwrap_or(rest.len() - bad);
        each(Run::Bad(at + bad, &rest[bad..end]));
        at += end;
    }
}

/// Gives each line that is text, without its `\n`, and where it begins; tells about the others.
#[inline(always)]
fn each_line<'p>(dead: &mut Dead<'p, '_>, mut each: impl FnMut(&mut Dead<'p, '_>, usize, &'p str)) {
    let (bytes, mut at) = (dead.piece.bytes, 0);
    let is_one = dead.piece.framing == Framing::Record;
    if is_one && simdutf8::basic::from_utf8(bytes).is_err() {
        return dead.not_text(0, bytes);
    }
    loop {
        let mut lines = match is_one {
            true => Lines::one(bytes),
            false => Lines::new(&bytes[at..]),
        };
        for (offset, line) in &mut lines {
            each(dead, at + offset, line);
        }
        let Some(bad) = lines.bad() else { return };
        dead.not_text(at + bad.start, &bytes[at..][bad.clone()]);
        at += bad.end;
    }
}

/// Why text of which no line ends is refused, as the end of a sentence.
pub(super) const LONE_RETURNS: &str = "has carriage returns and no line feed: its lines seem to end with carriage returns \
     alone, and would be one record; convert them (`tr '\\r' '\\n'`)";

/// Whether text without a line feed has a carriage return that something follows.
pub(super) fn has_lone_return(text: &[u8]) -> bool {
    memchr::memchr(b'\r', text).is_some_and(|at| at + 1 < text.len())
}

/// A line without its line end.
#[inline(always)]
fn strip(line: &str) -> &str {
    line.strip_suffix('\r').unwrap_or(line)
}

/// Some editors begin a file with a byte order mark; it is not part of the first line.
fn without_mark(piece: Piece<'_>) -> Piece<'_> {
    match piece.bytes.strip_prefix(b"\xef\xbb\xbf") {
        Some(bytes) if piece.position == 0 && !piece.numbered => {
            Piece { bytes, position: 3, ..piece }
        }
        _ => piece,
    }
}

/// Tells about lines of a piece that are no records.
struct Dead<'p, 'd> {
    piece: Piece<'p>,
    tell: &'d mut dyn FnMut(DeadLetter<'_>),
}

impl Dead<'_, '_> {
    #[cold]
    fn line(&mut self, at: usize, line: &[u8], reason: String) {
        let bytes = line.strip_suffix(b"\n").unwrap_or(line);
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        let (split, position) = (self.piece.split, self.piece.position_at(at));
        (self.tell)(DeadLetter { split, position, bytes, reason });
    }

    #[cold]
    fn not_text(&mut self, at: usize, line: &[u8]) {
        self.line(at, line, "is not UTF-8".to_owned());
    }

    /// Whether the piece is no more than the beginning of a line.
    #[inline]
    fn is_torn(&mut self) -> bool {
        let Some(why) = self.piece.torn else {
            return false;
        };
        self.line(0, self.piece.bytes, why.to_owned());
        true
    }
}
