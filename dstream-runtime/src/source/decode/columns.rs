//! Which column of a CSV file holds which part of a record.
//!
//! A struct's fields are found by name in the header, those of a struct within it as
//! `outer.inner`. A column without a field is ignored; a field whose column is absent must be
//! optional.

use super::csv::{LONE_CR, Unquoted, unquote};
use crate::connect::nearest;
use crate::record::{Column, Fields, Record, Schema, columns};
use crate::source::framing::Rows;

/// The columns of the header that was seen last.
#[derive(Debug, Default)]
pub(super) struct Columns {
    /// What the rest was made for.
    schema: u64,
    header: Option<String>,
    rows: Rows,
    /// As [`Fields`] wants it.
    order: Vec<u32>,
    /// How many fields a row has, if the header says so.
    pub(super) count: Option<usize>,
    /// Why no row of this file can be read.
    pub(super) missing: Option<String>,
}

/// A column that is not there.
const ABSENT: u32 = u32::MAX;

impl Columns {
    /// Prepares for rows under this header.
    pub(super) fn prepare<R: Record>(&mut self, header: Option<&str>, rows: Rows) {
        let schema = const { R::SCHEMA.hash() };
        if self.schema == schema && self.header.as_deref() == header && self.rows == rows {
            return;
        }
        *self = Self { schema, header: header.map(str::to_owned), rows, ..Self::default() };
        let Some(header) = header else { return };
        match names(header, rows) {
            Ok(present) => {
                self.count = Some(present.len());
                self.missing =
                    missing(&R::SCHEMA, &present).map(|why| format!("the header row {why}"));
                if matches!(R::SCHEMA, Schema::Struct { .. }) {
                    self.order = order(&columns(&R::SCHEMA), &present);
                }
            }
            Err(why) => self.missing = Some(format!("the header row {why}")),
        }
    }

    /// The fields of a row, for a record that wants them. `quoted` says of which it is known that they stood
    /// in quotes; it may be empty.
    #[inline(always)]
    pub(super) fn fields<'a>(&'a self, row: &'a [&'a str], quoted: &'a [bool]) -> Fields<'a> {
        Fields::of(row, quoted, &self.order, self.rows.dialect.null.as_str())
    }
}

fn order(wanted: &[Column], present: &[String]) -> Vec<u32> {
    let place = |wanted: &Column| {
        let found = present.iter().position(|column| wanted.is(column));
        found.and_then(|index| u32::try_from(index).ok()).unwrap_or(ABSENT)
    };
    wanted.iter().map(place).collect()
}

/// What a header lacks that these records need, as the end of a sentence.
pub(in crate::source) fn missing(schema: &Schema, present: &[String]) -> Option<String> {
    let wanted = columns(schema);
    let is_struct = matches!(schema, Schema::Struct { .. });
    let twice = |wanted: &&Column| present.iter().filter(|name| wanted.is(name)).count() > 1;
    if is_struct && let Some(Column { name, .. }) = wanted.iter().find(twice) {
        return Some(format!(
            "has the column `{name}` more than once, and it is not known which of them is meant: rename the others"
        ));
    }
    if !matches!(schema, Schema::Struct { .. }) {
        // The parts of anything else are taken as they come; what is optional at the end may be absent.
        let least = wanted.iter().rposition(|column| !column.optional).map_or(0, |last| last + 1);
        let plural = if present.len() == 1 { "" } else { "s" };
        return (present.len() < least)
            .then(|| format!("has {} column{plural}, and a record needs {least}", present.len()));
    }
    let absent = |column: &&Column| !column.optional && !present.iter().any(|name| column.is(name));
    let absent: Vec<&Column> = wanted.iter().filter(absent).collect();
    if absent.is_empty() {
        return None;
    }
    let names: Vec<&str> = present.iter().map(String::as_str).collect();
    let show = |Column { name, .. }: &&Column| {
        let near = nearest(name, &names).filter(|near| wanted.iter().all(|c| c.name != *near));
        let meant = near.map(|near| format!(" (did you mean `{near}`?)")).unwrap_or_default();
        format!("`{name}`{meant}")
    };
    let missing: Vec<String> = absent.iter().map(show).collect();
    let plural = if missing.len() == 1 { "" } else { "s" };
    let present: Vec<String> = present.iter().map(|name| format!("`{name}`")).collect();
    let present = if present.is_empty() { "none".to_owned() } else { present.join(", ") };
    Some(format!("has no column{plural} {}; it has {present}", missing.join(", ")))
}

/// The names in a header row, of which there are none if it is empty.
///
/// # Errors
/// Why it is no row.
pub(in crate::source) fn names(header: &str, rows: Rows) -> Result<Vec<String>, &'static str> {
    let mut unquoted = Unquoted::default();
    if header.is_empty() {
        return Ok(Vec::new());
    }
    if unquote(header, rows, &mut unquoted)? < header.len() {
        return Err(LONE_CR);
    }
    Ok(unquoted.fields().map(|name| name.trim().to_owned()).collect())
}
