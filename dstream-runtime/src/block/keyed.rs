//! Blocks of keyed records: columns of canonical key bytes, key hashes and values.
//!
//! Nothing here depends on a key's type: keys are the bytes of [`Key`], and only the decoder checks them
//! against the type.

use std::any::TypeId;

use rkyv::boxed::ArchivedBox;
use rkyv::rend::{u32_le, u64_le};
use rkyv::tuple::ArchivedTuple4;
use rkyv::vec::ArchivedVec;

use super::column::{Archiver, Column, ColumnBuilder, PushError, Scalars};
use super::pool::Columns;
use super::{Block, BufferPool, DecodeError, Kind, MAX_BODY};
use crate::record::{Key, KeyReader, Record};

/// Values, key ends (empty if all keys have one width), keys, hashes; written in the order that rkyv's
/// validation requires.
pub(super) type Body<X> =
    ArchivedTuple4<ArchivedVec<X>, ArchivedVec<u32_le>, ArchivedVec<u8>, ArchivedVec<u64_le>>;
/// The body for inline values.
pub(super) type InlineBody<V> = Body<<V as Record>::Archived>;
/// The body for other values.
pub(super) type BoxedBody<V> = Body<ArchivedBox<<V as Record>::Archived>>;

/// Builds a block of keyed records, in order.
pub struct KeyedBuilder<V: Record> {
    archiver: Archiver,
    values: ColumnBuilder<V>,
    /// The width of all keys, if fixed.
    width: Option<usize>,
    columns: Columns,
    pool: BufferPool,
}

impl<V: Record> KeyedBuilder<V> {
    /// A builder for keys of that width ([`Key::WIDTH`]), with room for `records` records.
    #[must_use]
    pub fn new(pool: &BufferPool, width: Option<usize>, records: usize) -> Self {
        Self::with_limit(pool, width, records, MAX_BODY)
    }

    /// A builder of blocks whose body has at most `limit` bytes, and never more than [`MAX_BODY`].
    #[must_use]
    pub fn with_limit(
        pool: &BufferPool,
        width: Option<usize>,
        records: usize,
        limit: usize,
    ) -> Self {
        let records = records.min(limit / 8);
        let value = size_of::<V::Archived>() + if V::INLINE { 0 } else { 4 };
        let key = width.unwrap_or(8 + size_of::<u32>());
        let capacity = records * (value + key + size_of::<u64>());
        let mut columns = pool.take_columns();
        columns.ends.reserve(if width.is_some() { 0 } else { records });
        columns.keys.reserve((records * width.unwrap_or(8)).min(limit));
        columns.hashes.reserve(records);
        Self {
            archiver: Archiver::new(pool, capacity.min(limit), limit.min(MAX_BODY)),
            values: ColumnBuilder::new(),
            width,
            columns,
            pool: pool.clone(),
        }
    }

    /// Adds a record: the canonical bytes of its key, their hash, and the value.
    ///
    /// # Errors
    /// When the block is full or the record too large for any block; the builder is unchanged.
    #[inline]
    pub fn push(&mut self, key: &[u8], hash: u64, value: V::View<'_>) -> Result<(), PushError> {
        debug_assert!(self.width.is_none_or(|width| width == key.len()));
        let beside = self.columns.bytes() + key.len() + size_of::<u64>() + size_of::<u32>();
        self.values.push(&mut self.archiver, value, beside)?;
        let Columns { ends, keys, hashes } = &mut self.columns;
        keys.extend_from_slice(key);
        if self.width.is_none() {
            ends.push(keys.len() as u32);
        }
        hashes.push(hash);
        Ok(())
    }

    /// Number of records so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.columns.hashes.len()
    }

    /// Whether it is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes written so far.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        self.archiver.written() + self.columns.bytes()
    }

    /// Finishes the block, of that [schema](super::keyed_schema); `None` if it has no record.
    #[must_use]
    pub fn finish(self, schema: u64) -> Option<Block> {
        let Self { mut archiver, values, columns, pool, .. } = self;
        let records = values.len() as u64;
        if records == 0 {
            pool.give_columns(columns);
            return None;
        }
        archiver.make_room(&pool, columns.bytes() + values.bytes());
        let Columns { ends, keys, hashes } = &columns;
        let (ends, keys, hashes) = (Scalars(ends), Scalars(keys), Scalars(hashes));
        let body = if V::INLINE {
            archiver.finish(&(values.inline(), ends, keys, hashes))
        } else {
            archiver.finish(&(values.boxed(), ends, keys, hashes))
        };
        pool.give_columns(columns);
        Some(Block::built(body, Kind::Keyed, schema, records, TypeId::of::<V>()))
    }
}

/// One record of a block of keyed records.
pub struct KeyedRow<'a, V: Record> {
    /// The canonical bytes of its key.
    pub key: &'a [u8],
    /// Their hash, computed by the producer.
    pub hash: u64,
    /// Its value.
    pub value: V::View<'a>,
}

/// The keyed records of a block, in place.
pub struct KeyedRows<'a, V: Record> {
    values: Column<'a, V>,
    /// Empty if all keys have one width.
    ends: &'a [u32_le],
    width: usize,
    keys: &'a [u8],
    hashes: &'a [u64_le],
}

impl<V: Record> Clone for KeyedRows<'_, V> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<V: Record> Copy for KeyedRows<'_, V> {}

impl<'a, V: Record> KeyedRows<'a, V> {
    /// Reads a block known to hold keyed rows with values of `V`.
    #[expect(unsafe_code)]
    pub(super) fn new(block: &'a Block) -> Self {
        // Both branches: `Block::keyed` checked kind and type, and by the invariant of `Block` the body is a
        // valid archive of the matching layout: the builder above wrote it, or the decoder validated it as
        // exactly this type.
        if V::INLINE {
            // SAFETY: see above.
            Self::inline(unsafe { rkyv::access_unchecked::<InlineBody<V>>(block.body()) })
        } else {
            // SAFETY: see above.
            Self::boxed(unsafe { rkyv::access_unchecked::<BoxedBody<V>>(block.body()) })
        }
    }

    pub(super) fn inline(body: &'a InlineBody<V>) -> Self {
        Self::columns(Column::of_inline(&body.0), &body.1, &body.2, &body.3)
    }

    pub(super) fn boxed(body: &'a BoxedBody<V>) -> Self {
        Self::columns(Column::of_boxed(&body.0), &body.1, &body.2, &body.3)
    }

    fn columns(
        values: Column<'a, V>,
        ends: &'a [u32_le],
        keys: &'a [u8],
        hashes: &'a [u64_le],
    ) -> Self {
        let width = keys.len().checked_div(hashes.len()).unwrap_or_default();
        Self { values, ends, width, keys, hashes }
    }

    /// Checks, beyond rkyv's validation, that columns have one length, that key ends grow up to the last key
    /// byte, and that every key is one of `K`.
    pub(super) fn check<K: Key>(&self) -> Result<(), DecodeError> {
        if self.values.len() != self.hashes.len() {
            return Err(DecodeError::KeyColumn);
        }
        check_keys(self.keys, self.ends, self.hashes.len(), K::WIDTH, K::check)
    }

    /// Number of records; never zero.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a block is never empty")]
    pub fn len(self) -> usize {
        self.hashes.len()
    }

    /// The canonical bytes of the key at `index`.
    ///
    /// # Panics
    /// When `index` is out of range.
    #[inline]
    #[must_use]
    pub fn key(self, index: usize) -> &'a [u8] {
        if self.ends.is_empty() {
            return &self.keys[index * self.width..][..self.width];
        }
        let start = if index == 0 { 0 } else { self.ends[index - 1].to_native() as usize };
        &self.keys[start..self.ends[index].to_native() as usize]
    }

    /// The hash of the key at `index`, computed by its producer.
    ///
    /// # Panics
    /// When `index` is out of range.
    #[inline]
    #[must_use]
    pub fn hash(self, index: usize) -> u64 {
        self.hashes[index].to_native()
    }

    /// The value at `index`.
    ///
    /// # Panics
    /// When `index` is out of range.
    #[inline]
    #[must_use]
    pub fn value(self, index: usize) -> V::View<'a> {
        self.values.get(index).expect("invariant: columns have one length")
    }

    /// The keyed records in order.
    #[inline]
    #[must_use]
    pub fn iter(self) -> KeyedIter<'a, V> {
        KeyedIter { rows: self, next: 0, start: 0 }
    }
}

/// Checks the key columns. Not generic, or every shuffle of a job would compile it again.
fn check_keys(
    keys: &[u8],
    ends: &[u32_le],
    len: usize,
    width: Option<usize>,
    check: fn(&mut KeyReader<'_>) -> bool,
) -> Result<(), DecodeError> {
    let fits = match width {
        Some(width) => ends.is_empty() && Some(keys.len()) == len.checked_mul(width),
        None => {
            ends.len() == len
                && ends.last().map_or(0, |end| end.to_native() as usize) == keys.len()
                && ends.is_sorted_by_key(|end| end.to_native())
        }
    };
    if !fits {
        return Err(DecodeError::KeyColumn);
    }
    let mut start = 0;
    for index in 0..len {
        let end = match width {
            Some(width) => start + width,
            None => ends.get(index).map_or(start, |end| end.to_native() as usize),
        };
        if !check(&mut KeyReader::new(&keys[start..end])) {
            return Err(DecodeError::Key { index: index as u64 });
        }
        start = end;
    }
    Ok(())
}

impl<'a, V: Record> IntoIterator for KeyedRows<'a, V> {
    type Item = KeyedRow<'a, V>;
    type IntoIter = KeyedIter<'a, V>;
    fn into_iter(self) -> KeyedIter<'a, V> {
        self.iter()
    }
}

/// The keyed records in order.
pub struct KeyedIter<'a, V: Record> {
    rows: KeyedRows<'a, V>,
    next: usize,
    /// Start of the next key.
    start: usize,
}

impl<'a, V: Record> Iterator for KeyedIter<'a, V> {
    type Item = KeyedRow<'a, V>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let rows = self.rows;
        let hash = rows.hashes.get(self.next)?.to_native();
        let end = if rows.ends.is_empty() {
            self.start + rows.width
        } else {
            rows.ends.get(self.next)?.to_native() as usize
        };
        let key = rows.keys.get(self.start..end)?;
        let value = rows.values.get(self.next)?;
        self.start = end;
        self.next += 1;
        Some(KeyedRow { key, hash, value })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.rows.len() - self.next;
        (left, Some(left))
    }
}

impl<V: Record> ExactSizeIterator for KeyedIter<'_, V> {}
