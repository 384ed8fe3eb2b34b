//! Records as JSON values, one line each.
//!
//! A struct is an object. A tuple that is a whole record is an object too, whose names are those of
//! [`part_name`]: `{"key":…,"value":…}` for a pair. A tuple inside a record is an array of its parts. What JSON
//! has no number for is refused, or a string (see [`Floats`]).

use super::{Visitor, integer, scan};
use crate::record::{Floats, Record, part_name};

/// A float that JSON has no number for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("JSON has no number for {name}")]
pub struct NotFinite {
    /// `NaN`, `Infinity` or `-Infinity`.
    pub name: &'static str,
}

/// Appends one JSON value, without a line break.
///
/// # Errors
/// When a float is not finite and such floats are refused. Nothing is appended then.
#[inline]
pub fn write_json<R: Record>(
    view: R::View<'_>,
    floats: Floats,
    out: &mut Vec<u8>,
) -> Result<(), NotFinite> {
    let before = out.len();
    let mut json = Json::new(out, floats);
    R::visit(view, &mut json);
    let refused = json.refused;
    match refused {
        None => Ok(()),
        Some(refused) => {
            out.truncate(before);
            Err(refused)
        }
    }
}

pub(super) struct Json<'o> {
    out: &'o mut Vec<u8>,
    floats: Floats,
    /// How many tuples, lists and structs are open.
    depth: u32,
    /// The number of parts of the tuple that is the whole record; 0 if the record is none.
    parts: usize,
    refused: Option<NotFinite>,
}

impl<'o> Json<'o> {
    pub(super) fn new(out: &'o mut Vec<u8>, floats: Floats) -> Self {
        Self { out, floats, depth: 0, parts: 0, refused: None }
    }

    /// Writes what lies within a list.
    pub(super) fn within(out: &'o mut Vec<u8>, floats: Floats) -> Self {
        Self { depth: 1, ..Self::new(out, floats) }
    }
}

impl Json<'_> {
    fn number(&mut self, value: impl zmij::Float, wide: f64) {
        if wide.is_finite() {
            self.out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
        } else {
            self.not_finite(wide);
        }
    }

    #[cold]
    fn not_finite(&mut self, value: f64) {
        let name = Floats::name(value);
        match self.floats {
            Floats::Refuse => self.refused = self.refused.or(Some(NotFinite { name })),
            Floats::Strings => text(self.out, name),
        }
    }

    fn open(&mut self, bracket: u8) {
        self.out.push(bracket);
        self.depth += 1;
    }

    fn close(&mut self, bracket: u8) {
        self.out.push(bracket);
        self.depth -= 1;
    }

    /// Whether the innermost open value is the tuple that is the whole record.
    fn is_named(&self) -> bool {
        self.parts > 0 && self.depth == 1
    }
}

impl Visitor for Json<'_> {
    fn unsigned(&mut self, value: u64) {
        integer(self.out, value);
    }
    fn signed(&mut self, value: i64) {
        integer(self.out, value);
    }
    fn wide(&mut self, value: u128) {
        integer(self.out, value);
    }
    fn wide_signed(&mut self, value: i128) {
        integer(self.out, value);
    }
    fn float(&mut self, value: f64) {
        self.number(value, value);
    }
    fn single(&mut self, value: f32) {
        self.number(value, value.into());
    }
    fn boolean(&mut self, value: bool) {
        self.out.extend_from_slice(if value { b"true" } else { b"false" });
    }
    fn text(&mut self, value: &str) {
        text(self.out, value);
    }
    fn none(&mut self, _columns: usize) {
        self.out.extend_from_slice(b"null");
    }
    fn begin_tuple(&mut self, parts: usize) {
        if self.depth == 0 {
            self.parts = parts;
            self.open(b'{');
        } else {
            self.open(b'[');
        }
    }
    fn item(&mut self, index: usize) {
        if index > 0 {
            self.out.push(b',');
        }
        if self.is_named() {
            text(self.out, part_name(self.parts, index));
            self.out.push(b':');
        }
    }
    fn end_tuple(&mut self) {
        let bracket = if self.is_named() { b'}' } else { b']' };
        self.close(bracket);
    }
    fn begin_list(&mut self) {
        self.open(b'[');
    }
    fn end_list(&mut self) {
        self.close(b']');
    }
    fn begin_struct(&mut self) {
        self.open(b'{');
    }
    fn field(&mut self, index: usize, name: &'static str) {
        if index > 0 {
            self.out.push(b',');
        }
        text(self.out, name);
        self.out.push(b':');
    }
    fn end_struct(&mut self) {
        self.close(b'}');
    }
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    while let Some(at) = scan::find(rest, scan::json) {
        out.extend_from_slice(&rest[..at]);
        escape(out, rest[at]);
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

#[cold]
fn escape(out: &mut Vec<u8>, byte: u8) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    match byte {
        b'"' => out.extend_from_slice(b"\\\""),
        b'\\' => out.extend_from_slice(b"\\\\"),
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\r' => out.extend_from_slice(b"\\r"),
        b'\t' => out.extend_from_slice(b"\\t"),
        _ => {
            out.extend_from_slice(b"\\u00");
            out.push(HEX[usize::from(byte >> 4)]);
            out.push(HEX[usize::from(byte & 15)]);
        }
    }
}
