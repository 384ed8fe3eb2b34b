//! CSV and plain text: scalars with a separator between them.
//!
//! What is written as CSV is read back, by our reader and by others, as the same values: a text is in quotes if
//! it holds what has a meaning, if it would be taken for an absent value, or if it begins a row as a comment or a
//! byte order mark does. A list is one field, which holds it as JSON: separators alone would make one of different
//! lists.

use super::json::Json;
use super::{Visitor, integer, scan};
use crate::record::{Dialect, Floats, Record, Schema, column_names};

/// What begins comments by custom: our own reader has them only where it is asked to.
const COMMENT: u8 = b'#';
const MARK: &[u8] = b"\xef\xbb\xbf";

/// How fields are kept apart.
#[derive(Clone, Copy)]
pub(super) struct Quotes<'d> {
    dialect: &'d Dialect,
    quote: u8,
    null: &'d str,
}

impl Quotes<'_> {
    /// Whether a text is not what it is without quotes; `begins` says that it would begin the row.
    #[inline(always)]
    fn needs(self, text: &[u8], begins: bool) -> bool {
        text.is_empty()
            || scan::find(text, scan::csv(self.dialect.delimiter, self.quote)).is_some()
            || begins && self.misleads(text)
            || !self.null.is_empty() && text == self.null.as_bytes()
    }

    #[inline(always)]
    fn misleads(self, text: &[u8]) -> bool {
        text[0] == COMMENT || Some(text[0]) == self.dialect.comment || text.starts_with(MARK)
    }

    /// Appends a field in quotes.
    #[cold]
    fn write(self, out: &mut Vec<u8>, field: &[u8]) {
        out.push(self.quote);
        let mut rest = field;
        while let Some(at) = memchr::memchr(self.quote, rest) {
            out.extend_from_slice(&rest[..=at]);
            out.push(self.quote);
            rest = &rest[at + 1..];
        }
        out.extend_from_slice(rest);
        out.push(self.quote);
    }
}

/// Only the treatment of text differs.
pub(super) struct Flat<'o> {
    out: &'o mut Vec<u8>,
    separator: u8,
    /// Of CSV.
    quotes: Option<Quotes<'o>>,
    first: bool,
    /// How many lists are open. In plain text, items of one are separated by `;`.
    lists: u32,
    /// Where the field of the outermost open list begins, and whether it begins the row.
    list: usize,
    list_begins: bool,
}

impl<'o> Flat<'o> {
    #[inline(always)]
    pub(super) fn new(out: &'o mut Vec<u8>, separator: u8, quotes: Option<Quotes<'o>>) -> Self {
        Self { out, separator, quotes, first: true, lists: 0, list: 0, list_begins: false }
    }

    #[inline(always)]
    pub(super) fn csv(out: &'o mut Vec<u8>, dialect: &'o Dialect) -> Self {
        // An output always has quotes.
        let quote = dialect.quote.unwrap_or(b'"');
        let quotes = Quotes { dialect, quote, null: dialect.null.as_str() };
        Self::new(out, dialect.delimiter, Some(quotes))
    }

    /// Writes what divides it from the value before; whether there is none in this row.
    #[inline(always)]
    fn separate(&mut self) -> bool {
        let first = std::mem::replace(&mut self.first, false);
        if !first {
            self.out.push(if self.lists > 0 { b';' } else { self.separator });
        }
        first
    }

    /// Of CSV within a list, what writes its items.
    #[inline(always)]
    fn json(&mut self) -> Option<Json<'_>> {
        (self.lists > 0 && self.quotes.is_some()).then(|| Json::within(self.out, Floats::Strings))
    }

    /// Writes a value that is no text and that JSON has a form of its own for.
    #[inline(always)]
    fn number(&mut self, json: impl FnOnce(&mut Json<'_>), write: impl FnOnce(&mut Vec<u8>)) {
        match self.json() {
            Some(mut within) => json(&mut within),
            None => self.scalar(write),
        }
    }

    /// Writes a value that is no text.
    #[inline(always)]
    fn scalar(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.separate();
        let from = self.out.len();
        write(self.out);
        if let Some(quotes) = self.quotes
            && !quotes.null.is_empty()
            && &self.out[from..] == quotes.null.as_bytes()
        {
            let value = self.out.split_off(from);
            quotes.write(self.out, &value);
        }
    }
}

impl Visitor for Flat<'_> {
    fn unsigned(&mut self, value: u64) {
        self.number(|json| json.unsigned(value), |out| integer(out, value));
    }
    fn signed(&mut self, value: i64) {
        self.number(|json| json.signed(value), |out| integer(out, value));
    }
    fn wide(&mut self, value: u128) {
        self.number(|json| json.wide(value), |out| integer(out, value));
    }
    fn wide_signed(&mut self, value: i128) {
        self.number(|json| json.wide_signed(value), |out| integer(out, value));
    }
    fn float(&mut self, value: f64) {
        let text = |out: &mut Vec<u8>| {
            out.extend_from_slice(zmij::Buffer::new().format(value).as_bytes());
        };
        self.number(|json| json.float(value), text);
    }
    fn single(&mut self, value: f32) {
        let text = |out: &mut Vec<u8>| {
            out.extend_from_slice(zmij::Buffer::new().format(value).as_bytes());
        };
        self.number(|json| json.single(value), text);
    }
    fn boolean(&mut self, value: bool) {
        let text = |out: &mut Vec<u8>| {
            out.extend_from_slice(if value { b"true" } else { b"false" });
        };
        self.number(|json| json.boolean(value), text);
    }
    fn text(&mut self, value: &str) {
        if let Some(mut json) = self.json() {
            return json.text(value);
        }
        let begins = self.separate();
        let bytes = value.as_bytes();
        match self.quotes {
            Some(quotes) if quotes.needs(bytes, begins) => quotes.write(self.out, bytes),
            _ => self.out.extend_from_slice(bytes),
        }
    }
    fn none(&mut self, columns: usize) {
        if let Some(mut json) = self.json() {
            return json.none(columns);
        }
        for _ in 0..columns {
            self.separate();
            if let Some(quotes) = self.quotes {
                self.out.extend_from_slice(quotes.null.as_bytes());
            }
        }
    }
    fn begin_tuple(&mut self, parts: usize) {
        if let Some(mut json) = self.json() {
            json.begin_tuple(parts);
        }
    }
    fn item(&mut self, index: usize) {
        if let Some(mut json) = self.json() {
            json.item(index);
        }
    }
    fn end_tuple(&mut self) {
        if let Some(mut json) = self.json() {
            json.end_tuple();
        }
    }
    fn begin_list(&mut self) {
        if self.lists == 0 || self.quotes.is_none() {
            let begins = self.separate();
            if self.lists == 0 {
                (self.list, self.list_begins) = (self.out.len(), begins);
            }
            self.first = true;
        }
        self.lists += 1;
        if let Some(mut json) = self.json() {
            json.begin_list();
        }
    }
    fn end_list(&mut self) {
        if let Some(mut json) = self.json() {
            json.end_list();
        }
        self.first = false;
        self.lists -= 1;
        if let Some(quotes) = self.quotes
            && self.lists == 0
            && quotes.needs(&self.out[self.list..], self.list_begins)
        {
            let column = self.out.split_off(self.list);
            quotes.write(self.out, &column);
        }
    }
    fn begin_struct(&mut self) {
        if let Some(mut json) = self.json() {
            json.begin_struct();
        }
    }
    fn field(&mut self, index: usize, name: &'static str) {
        if let Some(mut json) = self.json() {
            json.field(index, name);
        }
    }
    fn end_struct(&mut self) {
        if let Some(mut json) = self.json() {
            json.end_struct();
        }
    }
}

/// Appends one CSV row, without a line break.
#[inline]
pub fn write_csv<R: Record>(view: R::View<'_>, out: &mut Vec<u8>) {
    write_csv_as::<R>(view, &Dialect::default(), out);
}

/// The same in another dialect.
#[inline]
pub fn write_csv_as<R: Record>(view: R::View<'_>, dialect: &Dialect, out: &mut Vec<u8>) {
    let before = out.len();
    R::visit(view, &mut Flat::csv(out, dialect));
    if out.len() == before {
        // An empty line is no row.
        let quote = dialect.quote.unwrap_or(b'"');
        out.extend_from_slice(&[quote, quote]);
    }
}

/// Appends one line of plain text, without a line break.
#[inline]
pub fn write_text<R: Record>(view: R::View<'_>, out: &mut Vec<u8>) {
    R::visit(view, &mut Flat::new(out, b'\t', None));
}

/// Appends the header row of a record: the names of its columns ([`column_names`]), without a line break.
pub fn write_csv_header(schema: &Schema, dialect: &Dialect, out: &mut Vec<u8>) {
    // A name is never taken for an absent value.
    let dialect = Dialect { null: crate::record::Null::default(), ..*dialect };
    let mut row = Flat::csv(out, &dialect);
    column_names(schema).iter().for_each(|name| row.text(name));
}
