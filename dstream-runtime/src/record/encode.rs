//! Records as text: CSV, JSON, and plain lines.
//!
//! A record shows itself to a [`Visitor`], scalar by scalar; the writers here turn that into bytes and
//! know nothing of records. Invariant: whatever the texts inside, a CSV row is read back as as many
//! fields as its header names, and a JSON line is one line and one value.

mod flat;
mod json;
mod scan;
#[cfg(test)]
mod tests;
mod windows;

pub use flat::{write_csv, write_csv_as, write_csv_header, write_text};
pub use json::{NotFinite, write_json};
pub(crate) use windows::{Alone, InWindow, Shown};

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
    /// An unsigned integer of up to 128 bits.
    fn wide(&mut self, value: u128);
    /// A signed integer of up to 128 bits.
    fn wide_signed(&mut self, value: i128);
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
