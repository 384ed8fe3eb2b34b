//! Rows of text, field by field, as CSV is read.

use std::str::FromStr;

/// The fields of one row in the order of the record's columns.
///
/// `order[i]` is the field of the row that holds column `i`; an empty `order` means as they come.
#[derive(Debug)]
pub struct Fields<'a> {
    row: &'a [&'a str],
    order: &'a [u32],
    next: usize,
}

/// Why a row of text is no record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// The row ended too early.
    #[error("field {column} is missing: the row has {has}")]
    Missing {
        /// Its number, from 1.
        column: usize,
        /// How many the row has.
        has: usize,
    },
    /// A field has the wrong form.
    #[error("field {column} is {text:?}, which is no {wanted}")]
    Malformed {
        /// Its number, from 1.
        column: usize,
        /// What was there (at most 64 characters).
        text: String,
        /// The type asked for.
        wanted: &'static str,
    },
    /// The record type cannot be read from rows of text.
    #[error("{0}")]
    Unsupported(&'static str),
}

impl<'a> Fields<'a> {
    /// Reads `row`, whose columns stand in `order`.
    #[must_use]
    pub fn new(row: &'a [&'a str], order: &'a [u32]) -> Self {
        Self { row, order, next: 0 }
    }

    fn at(&self, column: usize) -> Option<&'a str> {
        let index = if self.order.is_empty() { column } else { *self.order.get(column)? as usize };
        self.row.get(index).copied()
    }

    /// The next field as text.
    ///
    /// # Errors
    /// When the row has ended.
    #[inline]
    pub fn next(&mut self, _wanted: &'static str) -> Result<&'a str, FieldError> {
        let column = self.next;
        self.next += 1;
        self.at(column).ok_or(FieldError::Missing { column: column + 1, has: self.row.len() })
    }

    /// The next field, parsed.
    ///
    /// # Errors
    /// When the row has ended or the field does not parse.
    #[inline]
    pub fn parse<T: FromStr>(&mut self, wanted: &'static str) -> Result<T, FieldError> {
        let text = self.next(wanted)?;
        text.parse().map_err(|_| FieldError::Malformed {
            column: self.next,
            text: text.chars().take(64).collect(),
            wanted,
        })
    }

    /// Skips the next `columns` fields if all of them are empty or absent.
    pub fn skip_empty(&mut self, columns: usize) -> bool {
        let empty = (self.next..self.next + columns).all(|c| self.at(c).is_none_or(str::is_empty));
        if empty {
            self.next += columns;
        }
        empty
    }

    /// The error for a type that rows of text cannot hold.
    #[must_use]
    pub fn unsupported(&self, why: &'static str) -> FieldError {
        FieldError::Unsupported(why)
    }
}
