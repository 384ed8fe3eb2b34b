//! Which column of a CSV file holds which part of a record.
//!
//! A struct's fields are found by name in the header, those of a struct within it as
//! `outer.inner`. A column that nobody asks for is ignored; a field whose column is absent must be
//! optional.

use crate::record::{Column, Fields, Record, Schema, columns};

/// The columns of the header that was seen last.
#[derive(Debug, Default)]
pub(super) struct Columns {
    /// What the rest was made for.
    schema: u64,
    header: Option<String>,
    /// As [`Fields`] wants it.
    pub(super) order: Vec<u32>,
    /// How many fields a row has, if the header says so.
    pub(super) count: Option<usize>,
    /// Why no row of this file can be read.
    pub(super) missing: Option<String>,
}

/// A column that is not there.
const ABSENT: u32 = u32::MAX;

impl Columns {
    /// Prepares for rows under this header.
    pub(super) fn prepare<R: Record>(&mut self, header: Option<&str>) {
        let schema = const { R::SCHEMA.hash() };
        if self.schema == schema && self.header.as_deref() == header {
            return;
        }
        *self = Self { schema, header: header.map(str::to_owned), ..Self::default() };
        let Some(header) = header else { return };
        let present = names(header);
        self.count = Some(present.len());
        if matches!(R::SCHEMA, Schema::Struct { .. }) {
            self.find(&columns(&R::SCHEMA), &present);
        }
    }

    fn find(&mut self, wanted: &[Column], present: &[String]) {
        let mut missing = Vec::new();
        for Column { name, optional } in wanted {
            let found = present.iter().position(|column| column == name);
            if found.is_none() && !optional {
                missing.push(format!("`{name}`"));
            }
            self.order.push(found.and_then(|index| u32::try_from(index).ok()).unwrap_or(ABSENT));
        }
        if !missing.is_empty() {
            let present: Vec<String> = present.iter().map(|name| format!("`{name}`")).collect();
            let (missing, present) = (missing.join(", "), present.join(", "));
            self.missing = Some(format!("the file has no column {missing}; it has {present}"));
        }
    }

    /// The fields of a row, for a record that wants them.
    #[inline(always)]
    pub(super) fn fields<'a>(&'a self, row: &'a [&'a str]) -> Fields<'a> {
        Fields::new(row, &self.order)
    }
}

/// The names in a header row.
fn names(header: &str) -> Vec<String> {
    let (mut text, mut spans) = (String::new(), Vec::new());
    match super::csv::unquote(header, &mut text, &mut spans) {
        Ok(()) => spans.iter().map(|&(from, to)| text[from..to].trim().to_owned()).collect(),
        Err(_) => header.split(',').map(|name| name.trim().to_owned()).collect(),
    }
}
