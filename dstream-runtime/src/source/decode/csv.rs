//! CSV (RFC 4180).
//!
//! Separators are found eight bytes at a time, for all fields of a piece in one pass; fields are
//! slices of the piece, those in quotes too. Only a row with doubled quotes, or one that may be wrong, takes a
//! second way, which copies. What ends a row is decided by [`Framing`]: a row that is none is set aside up to there. A
//! quote within a field that does not begin with one is an error, as the RFC has it: it is what the end of a
//! row looks like whose beginning is missing.

use std::marker::PhantomData;

use memchr::{memchr, memchr2};

use super::columns::Columns;
use super::{Dead, DeadLetter, Decode, DecodeScratch, Run, runs, strip, without_mark};
use crate::record::{Dialect, Format, Record};
use crate::source::lines::TORN_HEAD;
use crate::source::{Framing, Piece, Rows};

/// Why rows of a file with the line ends of classic Mac OS are none.
pub(in crate::source) const LONE_CR: &str = "has a carriage return that ends no line: if lines end with it alone, \
     convert them (`tr '\\r' '\\n'`)";
/// Why a row whose quotes are still open is none.
const OPEN: &str = "has a quoted field that is still open at its end";

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
        let rows = piece.framing.rows();
        scratch.columns.prepare::<R>(piece.header, rows);
        let DecodeScratch { columns, row, unquoted, .. } = scratch;
        let columns = &*columns;
        let mut fields = emptied(std::mem::take(row));
        runs(piece.bytes, piece.framing, |run| {
            let (start, text) = match run {
                Run::Text(start, text) => (start, text),
                Run::Bad(at, line) => return dead.not_text(at, line),
            };
            let row = |line: Line<'_>, row: Result<Row<'_>, &str>| {
                let done = match row {
                    Ok(row) => record::<R>(columns, row, &mut each),
                    Err(why) => Err(reason(why, line.text, rows)),
                };
                if let Err(reason) = done {
                    dead.line(start + line.at, head(&reason, line.text).as_bytes(), reason);
                }
            };
            let split = Split { text, rows, lone: memchr(b'\r', text.as_bytes()).is_some() };
            split.each(&mut fields, unquoted, row);
        });
        *row = emptied(fields);
    }
}

/// What is kept of a row that is none: all of it, unless it is as long as open quotes make it.
#[cold]
fn head<'a>(reason: &str, row: &'a str) -> &'a str {
    if reason.starts_with(OPEN) { &row[..row.floor_char_boundary(TORN_HEAD)] } else { row }
}

#[cold]
fn reason(why: &str, row: &str, rows: Rows) -> String {
    if why != OPEN || !row.contains('\n') {
        return why.to_owned();
    }
    let (len, lines) = (row.len(), 1 + row.matches('\n').count());
    format!(
        "{why}: {len} bytes, {lines} lines, are set aside together (a row with line breaks has at most {} \
         bytes; `max_line`)",
        rows.span
    )
}

/// A row as it stands in the text.
#[derive(Clone, Copy)]
struct Line<'a> {
    at: usize,
    text: &'a str,
}

/// The fields of a row.
#[derive(Clone, Copy)]
struct Row<'a> {
    fields: &'a [&'a str],
    /// Which of them stood in quotes; empty if none did.
    quoted: &'a [bool],
}

#[inline(always)]
fn record<R: Record>(
    columns: &Columns,
    row: Row<'_>,
    each: &mut impl for<'a> FnMut(R::View<'a>),
) -> Result<(), String> {
    if columns.missing.is_none() && columns.count.is_none_or(|count| count == row.fields.len()) {
        return match R::from_fields(&mut columns.fields(row.fields, row.quoted)) {
            Ok(view) => {
                each(view);
                Ok(())
            }
            Err(error) => Err(error.to_string()),
        };
    }
    Err(misfit(columns, row.fields))
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

/// Rows of text, to be split.
struct Split<'a> {
    text: &'a str,
    rows: Rows,
    /// Whether there may be a carriage return that ends no line.
    lone: bool,
}

impl<'a> Split<'a> {
    /// Gives each row that is not blank to `row`, split into its fields.
    #[inline]
    fn each(
        &self,
        fields: &mut Vec<&'a str>,
        unquoted: &mut Unquoted,
        mut row: impl FnMut(Line<'a>, Result<Row<'_>, &str>),
    ) {
        let (text, bytes) = (self.text, self.text.as_bytes());
        let delimiter = self.rows.dialect.delimiter;
        let separators = Separators::new(delimiter, self.rows.dialect.quote);
        // Where the line, the field and the word that is looked at begin.
        let (mut line, mut field, mut word) = (0, 0, 0);
        fields.clear();
        'words: while word < bytes.len() {
            let mut found = separators.mark(load(bytes, word));
            while found != 0 {
                let at = word + found.trailing_zeros() as usize / 8;
                found &= found - 1;
                let byte = bytes[at];
                if byte == delimiter {
                    fields.push(&text[field..at]);
                    field = at + 1;
                } else if byte == b'\n' {
                    self.finish((line, field, at), fields, &mut row);
                    (line, field) = (at + 1, at + 1);
                } else {
                    let begins = field == at && !self.is_comment(line);
                    let simple =
                        if begins { self.simple(line, at, fields, unquoted) } else { None };
                    let end = match simple {
                        Some((text, end)) => {
                            let whole = Line { at: line, text: &self.text[line..text] };
                            row(whole, Ok(Row { fields, quoted: &unquoted.quoted }));
                            fields.clear();
                            end
                        }
                        None => line + self.quoted(line, fields, unquoted, &mut row),
                    };
                    (line, field, word) = (end, end, end);
                    continue 'words;
                }
            }
            word += 8;
        }
        if line < bytes.len() {
            self.finish((line, field, bytes.len()), fields, &mut row);
        }
    }

    fn is_comment(&self, line: usize) -> bool {
        let comment = self.rows.dialect.comment;
        comment.is_some() && self.text.as_bytes().get(line).copied() == comment
    }

    /// Gives a row without quotes, whose last field ends at `end`.
    #[inline(always)]
    fn finish(
        &self,
        (line, field, end): (usize, usize, usize),
        fields: &mut Vec<&'a str>,
        row: &mut impl FnMut(Line<'a>, Result<Row<'_>, &str>),
    ) {
        let last = strip(&self.text[field..end]);
        if last.is_empty() && fields.is_empty() {
            return;
        }
        if !self.is_comment(line) {
            fields.push(last);
            let whole = Line { at: line, text: &self.text[line..end] };
            if self.lone && memchr(b'\r', strip(whole.text).as_bytes()).is_some() {
                row(whole, Err(LONE_CR));
            } else {
                row(whole, Ok(Row { fields, quoted: &[] }));
            }
        }
        fields.clear();
    }

    /// Reads the rest of a row from a field in quotes on, if its fields can be slices of the text: where the
    /// row ends, without and with its line break. None for doubled quotes, errors, and whatever the framing
    /// may see otherwise.
    #[inline]
    fn simple(
        &self,
        line: usize,
        mut field: usize,
        fields: &mut Vec<&'a str>,
        unquoted: &mut Unquoted,
    ) -> Option<(usize, usize)> {
        let (text, bytes) = (self.text, self.text.as_bytes());
        let Dialect { delimiter, quote, .. } = self.rows.dialect;
        let (quote, separators) = (quote?, Separators::new(delimiter, quote));
        unquoted.quoted.clear();
        unquoted.quoted.resize(fields.len(), false);
        let end = loop {
            let quoted = bytes.get(field) == Some(&quote);
            let end = if quoted {
                let end = field + 1 + memchr(quote, &bytes[field + 1..])?;
                fields.push(&text[field + 1..end]);
                end + 1
            } else {
                let end = separators.first(bytes, field);
                fields.push(&text[field..end]);
                end
            };
            unquoted.quoted.push(quoted);
            match &bytes[end..] {
                [next, ..] if *next == delimiter => field = end + 1,
                [b'\r', b'\n', ..] if quoted => break end + 1,
                [] | [b'\n', ..] => break end,
                _ => return None,
            }
        };
        if (end - line) as u64 >= self.rows.span {
            return None;
        }
        if unquoted.quoted.last() == Some(&false)
            && let Some(last) = fields.last_mut()
        {
            *last = strip(last);
        }
        let plain = || fields.iter().zip(&unquoted.quoted).filter(|(_, quoted)| !**quoted);
        if self.lone && plain().any(|(field, _)| memchr(b'\r', field.as_bytes()).is_some()) {
            return None;
        }
        Some((end, bytes.len().min(end + 1)))
    }

    /// Gives a row with quotes; its length, with its line break.
    #[inline(never)]
    fn quoted(
        &self,
        line: usize,
        fields: &mut Vec<&'a str>,
        unquoted: &mut Unquoted,
        row: &mut impl FnMut(Line<'a>, Result<Row<'_>, &str>),
    ) -> usize {
        fields.clear();
        let rest = &self.text[line..];
        if self.is_comment(line) {
            return memchr(b'\n', rest.as_bytes()).map_or(rest.len(), |end| end + 1);
        }
        // The framing is asked only where it may not agree: it has the last word on where a row ends.
        let ends = || Framing::Csv(self.rows).first(rest.as_bytes());
        let read = match unquote(rest, self.rows, unquoted) {
            Ok(length) if length as u64 <= self.rows.span || length == ends() => Ok(length),
            Ok(_) => Err(OPEN),
            Err(why) => Err(why),
        };
        let length = read.unwrap_or_else(|_| ends());
        let text = &rest[..length];
        let whole = Line { at: line, text: text.strip_suffix('\n').unwrap_or(text) };
        match read {
            Ok(_) => {
                let mut inner = emptied(std::mem::take(fields));
                inner.extend(unquoted.fields());
                row(whole, Ok(Row { fields: &inner, quoted: &unquoted.quoted }));
                *fields = emptied(inner);
            }
            Err(why) => row(whole, Err(why)),
        }
        length
    }
}

/// The fields of a row, one after the other, without their quotes.
#[derive(Debug, Default)]
pub(super) struct Unquoted {
    text: String,
    /// Where each field is.
    spans: Vec<(usize, usize)>,
    /// Whether it stood in quotes.
    quoted: Vec<bool>,
}

impl Unquoted {
    pub(super) fn fields(&self) -> impl Iterator<Item = &str> {
        self.spans.iter().map(|&(from, to)| &self.text[from..to])
    }
}

/// Reads a row from its beginning; its length, with its line break.
pub(super) fn unquote(text: &str, rows: Rows, row: &mut Unquoted) -> Result<usize, &'static str> {
    let (delimiter, quote) = (rows.dialect.delimiter, rows.dialect.quote);
    row.text.clear();
    row.spans.clear();
    row.quoted.clear();
    let mut at = 0;
    loop {
        let from = row.text.len();
        let quoted = quote.is_some() && text.as_bytes().get(at).copied() == quote;
        let end = if quoted {
            at + unquote_field(&text[at..], &mut row.text)?
        } else {
            let rest = &text.as_bytes()[at..];
            let end = at + memchr2(delimiter, b'\n', rest).unwrap_or(rest.len());
            let is_last = text.as_bytes().get(end) != Some(&delimiter);
            let field = &text[at..end];
            let field = if is_last { strip(field) } else { field };
            if quote.is_some_and(|quote| memchr(quote, field.as_bytes()).is_some()) {
                return Err("has a quote within a field that does not begin with one");
            }
            if memchr(b'\r', field.as_bytes()).is_some() {
                return Err(LONE_CR);
            }
            row.text.push_str(field);
            end
        };
        row.spans.push((from, row.text.len()));
        row.quoted.push(quoted);
        match &text.as_bytes()[end..] {
            [next, ..] if *next == delimiter => at = end + 1,
            [] | [b'\r'] => return Ok(text.len()),
            [b'\n', ..] => return Ok(end + 1),
            [b'\r', b'\n', ..] => return Ok(end + 2),
            _ => return Err("has characters after the closing quote of a field"),
        }
    }
}

/// Writes a field in quotes, with the first of which `text` begins; where it ends.
fn unquote_field(text: &str, out: &mut String) -> Result<usize, &'static str> {
    let bytes = text.as_bytes();
    let quote = bytes[0];
    let mut at = 1;
    loop {
        let end = at + memchr(quote, &bytes[at..]).ok_or(OPEN)?;
        out.push_str(&text[at..end]);
        if bytes.get(end + 1) != Some(&quote) {
            return Ok(end + 1);
        }
        out.push(char::from(quote));
        at = end + 2;
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

/// Finds the bytes that divide fields and rows.
#[derive(Clone, Copy)]
struct Separators {
    delimiters: u64,
    quotes: u64,
}

const ONES: u64 = u64::MAX / 255;

impl Separators {
    #[inline(always)]
    fn new(delimiter: u8, quote: Option<u8>) -> Self {
        // Without a quote a byte that is looked for anyway takes its place.
        let quotes = ONES * u64::from(quote.unwrap_or(b'\n'));
        Self { delimiters: ONES * u64::from(delimiter), quotes }
    }

    /// Where the next of them is from `at` on, or the end.
    #[inline(always)]
    fn first(self, bytes: &[u8], mut at: usize) -> usize {
        while at < bytes.len() {
            let found = self.mark(load(bytes, at));
            if found != 0 {
                return at + found.trailing_zeros() as usize / 8;
            }
            at += 8;
        }
        bytes.len()
    }

    /// The top bit of each byte that is a delimiter, a line end or a quote.
    #[inline(always)]
    fn mark(self, word: u64) -> u64 {
        const LOW: u64 = ONES * 0x7f;
        const ENDS: u64 = ONES * b'\n' as u64;
        // The top bit of a byte of the result is clear exactly where `word` has the byte.
        let differs = |bytes: u64| {
            let x = word ^ bytes;
            ((x & LOW) + LOW) | x
        };
        !(differs(self.delimiters) & differs(ENDS) & differs(self.quotes)) & !LOW
    }
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
        let separators = Separators::new(b',', Some(b'"'));
        let mut draw = 1_u64;
        for _ in 0..10_000 {
            draw = draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let palette = b",\n\"a\x00\xff+-\x0b\x09!#\x2d\x2b\xac\x8a";
            let bytes: [u8; 8] =
                std::array::from_fn(|i| palette[(draw >> (i * 7 + 4)) as usize % palette.len()]);
            for (i, byte) in bytes.iter().enumerate() {
                let found = separators.mark(u64::from_le_bytes(bytes)) >> (8 * i) & 0xff;
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
