//! Blocks of records.

use std::any::TypeId;

use rkyv::boxed::ArchivedBox;
use rkyv::vec::ArchivedVec;

use super::column::{Archiver, Column, ColumnBuilder, PushError};
use super::{Block, BufferPool, Kind, MAX_BODY};
use crate::record::Record;

/// The body for inline records.
pub(super) type InlineRows<R> = ArchivedVec<<R as Record>::Archived>;
/// The body for other records.
pub(super) type BoxedRows<R> = ArchivedVec<ArchivedBox<<R as Record>::Archived>>;

/// Builds a block of records from views, in order.
pub struct RowsBuilder<R: Record> {
    archiver: Archiver,
    rows: ColumnBuilder<R>,
}

impl<R: Record> RowsBuilder<R> {
    /// A builder with a pooled buffer of at least `capacity` bytes.
    #[must_use]
    pub fn new(pool: &BufferPool, capacity: usize) -> Self {
        Self::with_limit(pool, capacity, MAX_BODY)
    }

    /// A builder of blocks whose body has at most `limit` bytes, and never more than [`MAX_BODY`].
    #[must_use]
    pub fn with_limit(pool: &BufferPool, capacity: usize, limit: usize) -> Self {
        let archiver = Archiver::new(pool, capacity, limit.min(MAX_BODY));
        Self { archiver, rows: ColumnBuilder::new() }
    }

    /// Adds a record.
    ///
    /// # Errors
    /// When the block is full or the record too large for any block; the builder is unchanged.
    #[inline]
    pub fn push(&mut self, view: R::View<'_>) -> Result<(), PushError> {
        self.rows.push(&mut self.archiver, view, 0)
    }

    /// Number of records so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether it is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes written so far.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        self.archiver.written()
    }

    /// Finishes the block; `None` if it has no record.
    #[must_use]
    pub fn finish(self) -> Option<Block> {
        if self.is_empty() {
            return None;
        }
        let Self { archiver, rows } = self;
        let body = if R::INLINE {
            archiver.finish(&rows.inline())
        } else {
            archiver.finish(&rows.boxed())
        };
        let records = rows.len() as u64;
        Some(Block::built(body, Kind::Rows, R::SCHEMA.hash(), records, TypeId::of::<R>()))
    }
}

/// The records of a block, in place.
pub struct Rows<'a, R: Record>(Column<'a, R>);

impl<R: Record> Clone for Rows<'_, R> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<R: Record> Copy for Rows<'_, R> {}

impl<'a, R: Record> Rows<'a, R> {
    /// Reads a block known to hold rows of `R`.
    #[expect(unsafe_code)]
    pub(super) fn new(block: &'a Block) -> Self {
        // Both branches: `Block::rows` checked kind and type, and by the invariant of `Block` the body is a
        // valid archive of the matching layout: the builder above wrote it, or the decoder validated it as
        // exactly this type.
        let column = if R::INLINE {
            // SAFETY: see above.
            Column::of_inline(unsafe { rkyv::access_unchecked::<InlineRows<R>>(block.body()) })
        } else {
            // SAFETY: see above.
            Column::of_boxed(unsafe { rkyv::access_unchecked::<BoxedRows<R>>(block.body()) })
        };
        Self(column)
    }

    /// Number of records; never zero.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a block is never empty")]
    pub fn len(self) -> usize {
        self.0.len()
    }

    /// The record at `index`, if there is one.
    #[inline]
    #[must_use]
    pub fn get(self, index: usize) -> Option<R::View<'a>> {
        self.0.get(index)
    }

    /// The records in order.
    #[inline]
    #[must_use]
    pub fn iter(self) -> RowsIter<'a, R> {
        RowsIter { rows: self.0, next: 0 }
    }
}

impl<'a, R: Record> IntoIterator for Rows<'a, R> {
    type Item = R::View<'a>;
    type IntoIter = RowsIter<'a, R>;
    fn into_iter(self) -> RowsIter<'a, R> {
        self.iter()
    }
}

/// The records of a block in order.
pub struct RowsIter<'a, R: Record> {
    rows: Column<'a, R>,
    next: usize,
}

impl<'a, R: Record> Iterator for RowsIter<'a, R> {
    type Item = R::View<'a>;
    #[inline]
    fn next(&mut self) -> Option<R::View<'a>> {
        let row = self.rows.get(self.next)?;
        self.next += 1;
        Some(row)
    }
    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.rows.len() - self.next;
        (left, Some(left))
    }
}

impl<R: Record> ExactSizeIterator for RowsIter<'_, R> {}
