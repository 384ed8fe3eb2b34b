//! CSV (RFC 4180), a row per line.
//!
//! Separators are found eight bytes at a time, for all fields of a piece in one pass; fields are
//! slices of the piece. Only a row with a field in quotes takes a second way, which copies. A line
//! break inside quotes is not supported, because cuts and pieces end at lines: the first line of such
//! a row is a dead letter that says so. For the same reason a quote within a field that does not
//! begin with one is an error, as the RFC has it: it is what the end of such a row looks like.

use std::marker::PhantomData;

use memchr::memchr;

use super::columns::Columns;
use super::{Dead, DeadLetter, Decode, DecodeScratch, Run, runs, strip, without_mark};
use crate::record::{Format, Record};
use crate::source::Piece;

/// One record per row, by the header if there is one; blank lines are skipped.
#[derive(Debug)]
pub struct CsvRows<R>(PhantomData<fn() -> R>);

impl<R: Record> Decode for CsvRows<R> {
    type Record = R;
    const FORMAT: Format = Format::Csv;

    #[inline]
    fn decode(
        piece: Piece<'_>,
        scratch: &mut DecodeScratch,
        mut each: impl for<'a> FnMut(R::View<'a>),
        dead: &mut dyn FnMut(DeadLetter<'_>),
    ) {
        let piece = without_mark(piece);
        let mut dead = Dead { piece, tell: dead };
        if dead.is_torn() {
            return;
        }
        scratch.columns.prepare::<R>(piece.header);
        let DecodeScratch { columns, row, unquoted, spans, .. } = scratch;
        let columns = &*columns;
        let mut fields = emptied(std::mem::take(row));
        runs(piece.bytes, |run| {
            let (start, text) = match run {
                Run::Text(start, text) => (start, text),
                Run::Bad(at, line) => return dead.not_text(at, line),
            };
            let row = |line: Line<'_>, row: Result<&[&str], &str>| {
                let done = match row {
                    Ok(row) => record::<R>(columns, row, &mut each),
                    Err(why) => Err(why.to_owned()),
                };
                if let Err(reason) = done {
                    dead.line(start + line.at, line.text.as_bytes(), reason);
                }
            };
            rows(text, &mut fields, (unquoted, spans), row);
        });
        *row = emptied(fields);
    }
}

/// A row as it stands in the text.
#[derive(Clone, Copy)]
struct Line<'a> {
    at: usize,
    text: &'a str,
}

#[inline(always)]
fn record<R: Record>(
    columns: &Columns,
    row: &[&str],
    each: &mut impl for<'a> FnMut(R::View<'a>),
) -> Result<(), String> {
    if columns.missing.is_none() && columns.count.is_none_or(|count| count == row.len()) {
        return match R::from_fields(&mut columns.fields(row)) {
            Ok(view) => {
                each(view);
                Ok(())
            }
            Err(error) => Err(error.to_string()),
        };
    }
    Err(misfit(columns, row))
}

#[cold]
fn misfit(columns: &Columns, row: &[&str]) -> String {
    match (&columns.missing, columns.count) {
        (Some(missing), _) => missing.clone(),
        (None, count) => {
            format!("has {} fields where the header has {}", row.len(), count.unwrap_or_default())
        }
    }
}

/// Gives each row that is not blank to `row`, split into its fields.
#[inline]
fn rows<'a>(
    text: &'a str,
    fields: &mut Vec<&'a str>,
    (unquoted, spans): (&mut String, &mut Vec<(usize, usize)>),
    mut row: impl FnMut(Line<'a>, Result<&[&str], &str>),
) {
    let bytes = text.as_bytes();
    // Where the line, the field and the word that is looked at begin.
    let (mut line, mut field, mut word) = (0, 0, 0);
    fields.clear();
    'words: while word < bytes.len() {
        let mut found = separators(load(bytes, word));
        while found != 0 {
            let at = word + found.trailing_zeros() as usize / 8;
            found &= found - 1;
            match bytes[at] {
                b',' => {
                    fields.push(&text[field..at]);
                    field = at + 1;
                }
                b'\n' => {
                    finish(text, (line, field, at), fields, &mut row);
                    (line, field) = (at + 1, at + 1);
                }
                _ => {
                    let end = memchr(b'\n', &bytes[at..]).map_or(bytes.len(), |end| at + end);
                    let whole = Line { at: line, text: &text[line..end] };
                    quoted(whole, fields, unquoted, spans, &mut row);
                    (line, field, word) = (end + 1, end + 1, end + 1);
                    continue 'words;
                }
            }
        }
        word += 8;
    }
    if line < bytes.len() {
        finish(text, (line, field, bytes.len()), fields, &mut row);
    }
}

/// Gives a row without quotes, whose last field ends at `end`.
#[inline(always)]
fn finish<'a>(
    text: &'a str,
    (line, field, end): (usize, usize, usize),
    fields: &mut Vec<&'a str>,
    row: &mut impl FnMut(Line<'a>, Result<&[&str], &str>),
) {
    let last = strip(&text[field..end]);
    if last.is_empty() && fields.is_empty() {
        return;
    }
    fields.push(last);
    row(Line { at: line, text: &text[line..end] }, Ok(fields));
    fields.clear();
}

/// Gives a row with quotes.
#[inline(never)]
fn quoted<'a>(
    line: Line<'a>,
    fields: &mut Vec<&'a str>,
    unquoted: &mut String,
    spans: &mut Vec<(usize, usize)>,
    row: &mut impl FnMut(Line<'a>, Result<&[&str], &str>),
) {
    match unquote(strip(line.text), unquoted, spans) {
        Ok(()) => {
            let mut inner = emptied(std::mem::take(fields));
            inner.extend(spans.iter().map(|&(from, to)| &unquoted[from..to]));
            row(line, Ok(&inner));
            *fields = emptied(inner);
        }
        Err(why) => {
            fields.clear();
            row(line, Err(why));
        }
    }
}

/// Writes the fields of a line one after the other, without their quotes, and where each is.
pub(super) fn unquote(
    line: &str,
    text: &mut String,
    spans: &mut Vec<(usize, usize)>,
) -> Result<(), &'static str> {
    text.clear();
    spans.clear();
    let mut rest = line;
    loop {
        let from = text.len();
        rest = match rest.strip_prefix('"') {
            Some(inner) => unquote_field(inner, text)?,
            None => {
                let end = memchr(b',', rest.as_bytes()).unwrap_or(rest.len());
                if memchr(b'"', &rest.as_bytes()[..end]).is_some() {
                    return Err("has a quote within a field that does not begin with one");
                }
                text.push_str(&rest[..end]);
                &rest[end..]
            }
        };
        spans.push((from, text.len()));
        match rest.strip_prefix(',') {
            Some(next) => rest = next,
            None if rest.is_empty() => return Ok(()),
            None => return Err("has characters after the closing quote of a field"),
        }
    }
}

/// Writes a field in quotes, of which the first has been read; what follows its last one.
fn unquote_field<'a>(mut rest: &'a str, text: &mut String) -> Result<&'a str, &'static str> {
    loop {
        let Some(quote) = memchr(b'"', rest.as_bytes()) else {
            return Err("has a quoted field that does not end on its line: \
                 line breaks within fields are not supported");
        };
        text.push_str(&rest[..quote]);
        rest = &rest[quote + 1..];
        match rest.strip_prefix('"') {
            Some(more) => {
                text.push('"');
                rest = more;
            }
            None => return Ok(rest),
        }
    }
}

/// Eight bytes, with zeros after the end.
#[inline(always)]
fn load(bytes: &[u8], at: usize) -> u64 {
    match bytes[at..].first_chunk() {
        Some(word) => u64::from_le_bytes(*word),
        None => bytes[at..].iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    }
}

/// The top bit of each byte that is a comma, a line end or a quote.
#[inline(always)]
fn separators(word: u64) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    const LOW: u64 = ONES * 0x7f;
    // The top bit of a byte of the result is clear exactly where `word` has the byte.
    let differs = |byte: u8| {
        let x = word ^ (ONES * u64::from(byte));
        ((x & LOW) + LOW) | x
    };
    !(differs(b',') & differs(b'\n') & differs(b'"')) & !LOW
}

/// The same allocation for other borrows.
fn emptied<'b>(mut row: Vec<&str>) -> Vec<&'b str> {
    row.clear();
    row.into_iter().map(|_| "").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_are_exact() {
        let mut draw = 1_u64;
        for _ in 0..10_000 {
            draw = draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let palette = b",\n\"a\x00\xff+-\x0b\x09!#\x2d\x2b\xac\x8a";
            let bytes: [u8; 8] =
                std::array::from_fn(|i| palette[(draw >> (i * 7 + 4)) as usize % palette.len()]);
            for (i, byte) in bytes.iter().enumerate() {
                let found = separators(u64::from_le_bytes(bytes)) >> (8 * i) & 0xff;
                assert_eq!(found == 0x80, b",\n\"".contains(byte), "{bytes:?}");
                assert!(found == 0 || found == 0x80);
            }
        }
    }

    #[test]
    fn the_allocation_is_kept() {
        let mut row: Vec<&str> = Vec::with_capacity(77);
        row.push("a");
        let kept = emptied(row);
        assert!(kept.is_empty());
        assert_eq!(kept.capacity(), 77);
    }
}
