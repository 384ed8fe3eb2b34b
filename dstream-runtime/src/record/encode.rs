//! Records as text: CSV, JSON, and plain lines.
//!
//! A record shows itself to a [`Visitor`], scalar by scalar; the writers here turn that into bytes and
//! know nothing of records. Invariant: whatever the texts inside, a CSV row is read back as as many
//! fields as its header names, and a JSON line is one line and one value.

mod json;
mod scan;
#[cfg(test)]
mod tests;

use super::{Record, Schema, column_names};

pub use json::{NotFinite, write_json};

/// How records are written as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Format {
    /// One line each: a text as it is, the parts of anything else separated by tabs.
    Text,
    /// RFC 4180 rows, nested values flattened into columns.
    Csv,
    /// One JSON value per line.
    Json,
}

/// What a record shows itself to: one call per scalar, brackets around parts.
pub trait Visitor {
    /// An unsigned integer.
    fn unsigned(&mut self, value: u64);
    /// A signed integer.
    fn signed(&mut self, value: i64);
    /// A float.
    fn float(&mut self, value: f64);
    /// A float of single precision.
    fn single(&mut self, value: f32);
    /// A truth value.
    fn boolean(&mut self, value: bool);
    /// A character.
    fn character(&mut self, value: char) {
        self.text(value.encode_utf8(&mut [0; 4]));
    }
    /// A text.
    fn text(&mut self, value: &str);
    /// An absent value that would take up that many columns.
    fn none(&mut self, columns: usize);
    /// A tuple of that many parts begins.
    fn begin_tuple(&mut self, parts: usize);
    /// The part at `index` of a tuple or list follows.
    fn item(&mut self, index: usize);
    /// A tuple ends.
    fn end_tuple(&mut self);
    /// A list begins.
    fn begin_list(&mut self);
    /// A list ends.
    fn end_list(&mut self);
    /// A struct begins.
    fn begin_struct(&mut self);
    /// The field at `index` of a struct follows.
    fn field(&mut self, index: usize, name: &'static str);
    /// A struct ends.
    fn end_struct(&mut self);
}

fn integer(out: &mut Vec<u8>, value: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends a CSV field that must be quoted.
#[cold]
fn csv_quoted(out: &mut Vec<u8>, field: &[u8]) {
    out.push(b'"');
    let mut rest = field;
    while let Some(at) = memchr::memchr(b'"', rest) {
        out.extend_from_slice(&rest[..=at]);
        out.push(b'"');
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

/// CSV and plain text: scalars with a separator between them; only the treatment of text differs.
struct Flat<'o> {
    out: &'o mut Vec<u8>,
    separator: u8,
    quote: bool,
    first: bool,
    /// How many lists are open: inside one, items are separated by `;` and make one column.
    lists: u32,
    /// Where the column of the outermost open list begins.
    list: usize,
}

impl<'o> Flat<'o> {
    #[inline(always)]
    fn new(out: &'o mut Vec<u8>, separator: u8, quote: bool) -> Self {
        Self { out, separator, quote, first: true, lists: 0, list: 0 }
    }
}

impl Flat<'_> {
    fn separate(&mut self) {
        if !self.first {
            self.out.push(if self.lists > 0 { b';' } else { self.separator });
        }
        self.first = false;
    }
}

impl Visitor for Flat<'_> {
    fn unsigned(&mut self, value: u64) {
        self.separate();
        integer(self.out, value);
    }
    fn signed(&mut self, value: i64) {
        self.separate();
        integer(self.out, value);
    }
    fn float(&mut self, value: f64) {
        self.separate();
        self.out.extend_from_slice(zmij::Buffer::new().format(value).as_bytes());
    }
    fn single(&mut self, value: f32) {
        self.separate();
        self.out.extend_from_slice(zmij::Buffer::new().format(value).as_bytes());
    }
    fn boolean(&mut self, value: bool) {
        self.separate();
        self.out.extend_from_slice(if value { b"true" } else { b"false" });
    }
    fn text(&mut self, value: &str) {
        self.separate();
        let bytes = value.as_bytes();
        // A list is quoted as a whole.
        if self.quote && self.lists == 0 && scan::find(bytes, scan::csv).is_some() {
            csv_quoted(self.out, bytes);
        } else {
            self.out.extend_from_slice(bytes);
        }
    }
    fn none(&mut self, columns: usize) {
        for _ in 0..columns {
            self.separate();
        }
    }
    fn begin_tuple(&mut self, _parts: usize) {}
    fn item(&mut self, _index: usize) {}
    fn end_tuple(&mut self) {}
    fn begin_list(&mut self) {
        self.separate();
        if self.lists == 0 {
            self.list = self.out.len();
        }
        self.first = true;
        self.lists += 1;
    }
    fn end_list(&mut self) {
        self.first = false;
        self.lists -= 1;
        let outermost = self.quote && self.lists == 0;
        if outermost && scan::find(&self.out[self.list..], scan::csv).is_some() {
            let column = self.out.split_off(self.list);
            csv_quoted(self.out, &column);
        }
    }
    fn begin_struct(&mut self) {}
    fn field(&mut self, _index: usize, _name: &'static str) {}
    fn end_struct(&mut self) {}
}

/// Appends one CSV row, without a line break.
#[inline]
pub fn write_csv<R: Record>(view: R::View<'_>, out: &mut Vec<u8>) {
    let before = out.len();
    R::visit(view, &mut Flat::new(out, b',', true));
    if out.len() == before {
        // An empty line is no row.
        out.extend_from_slice(b"\"\"");
    }
}

/// Appends one line of plain text, without a line break.
#[inline]
pub fn write_text<R: Record>(view: R::View<'_>, out: &mut Vec<u8>) {
    R::visit(view, &mut Flat::new(out, b'\t', false));
}

/// Appends the header row of a record: the names of its columns ([`column_names`]), without a line break.
pub fn write_csv_header(schema: &Schema, out: &mut Vec<u8>) {
    let mut row = Flat::new(out, b',', true);
    column_names(schema).iter().for_each(|name| row.text(name));
}
