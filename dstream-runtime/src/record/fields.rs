//! Rows of text, field by field, as CSV is read.

use std::str::FromStr;

use super::Schema;

/// The fields of one row in the order of the record's columns.
///
/// `order[i]` is the field of the row that holds column `i`; an empty `order` means as they come.
#[derive(Debug)]
pub struct Fields<'a> {
    row: &'a [&'a str],
    /// Which of the fields stood in quotes; empty if none did.
    quoted: &'a [bool],
    order: &'a [u32],
    /// What stands for an absent value.
    null: &'a str,
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
    /// A number is too large for its type.
    #[error("field {column} is {text:?}, which is out of the range of {wanted}")]
    OutOfRange {
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
        Self::of(row, &[], order, "")
    }

    /// The same, of which it is known which fields stood in quotes (none if `quoted` is empty): a field that is
    /// `null` is an absent value only without them.
    #[must_use]
    #[inline(always)]
    pub(crate) fn of(
        row: &'a [&'a str],
        quoted: &'a [bool],
        order: &'a [u32],
        null: &'a str,
    ) -> Self {
        Self { row, quoted, order, null, next: 0 }
    }

    #[inline(always)]
    fn index(&self, column: usize) -> Option<usize> {
        if self.order.is_empty() {
            return Some(column);
        }
        self.order.get(column).map(|index| *index as usize)
    }

    #[inline(always)]
    fn at(&self, column: usize) -> Option<&'a str> {
        self.row.get(self.index(column)?).copied()
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
        self.value(wanted, |text| text.parse().ok())
    }

    /// The next field, as what a function makes of its text.
    ///
    /// # Errors
    /// When the row has ended or the function makes nothing of it.
    #[inline]
    pub(crate) fn value<T>(
        &mut self,
        wanted: &'static str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, FieldError> {
        let text = self.next(wanted)?;
        read(text).ok_or_else(|| FieldError::Malformed {
            column: self.next,
            text: text.chars().take(64).collect(),
            wanted,
        })
    }

    /// Skips the fields of the next value if all of them are absent or say that it is: empty, or what else stands
    /// for nothing, and not in quotes. What is no text cannot be empty, so that quotes make no difference there.
    pub fn skip_null(&mut self, schema: &Schema) -> bool {
        let columns = schema.columns();
        let is_text = !matches!(schema, Schema::Scalar(name) if !matches!(*name, "str" | "char"));
        let null = (self.next..self.next + columns).all(|column| self.is_null(column, is_text));
        if null {
            self.next += columns;
        }
        null
    }

    fn is_null(&self, column: usize, is_text: bool) -> bool {
        let Some(index) = self.index(column) else { return true };
        let Some(text) = self.row.get(index) else { return true };
        let quoted = self.quoted.get(index).is_some_and(|quoted| *quoted);
        *text == self.null && !quoted || text.is_empty() && !is_text
    }

    /// The next field as a float, which must be in range: digits are never taken for infinity.
    ///
    /// # Errors
    /// When the row has ended, or the field does not parse or is out of range.
    #[inline]
    pub(crate) fn float<T: FromStr + Into<f64> + Copy>(
        &mut self,
        wanted: &'static str,
    ) -> Result<T, FieldError> {
        let value = self.parse::<T>(wanted)?;
        if value.into().is_infinite() {
            let text = self.at(self.next - 1).unwrap_or_default();
            if text.contains(|c: char| c.is_ascii_digit()) {
                let text = text.chars().take(64).collect();
                return Err(FieldError::OutOfRange { column: self.next, text, wanted });
            }
        }
        Ok(value)
    }

    /// The error for a type that rows of text cannot hold.
    #[must_use]
    pub fn unsupported(&self, why: &'static str) -> FieldError {
        FieldError::Unsupported(why)
    }
}
