//! Columns of records: written one view at a time, read in place.
//!
//! rkyv writes a value's out-of-line parts (text, lists) before the value. Records without such parts
//! ([`Record::INLINE`]) form a plain array; for others, each row is written after its out-of-line parts, and
//! the column is an array of offsets. So records are never made owned, and memory is read front to back.

use rkyv::boxed::{ArchivedBox, BoxResolver};
use rkyv::rancor::{BoxedError, Strategy};
use rkyv::ser::allocator::Arena;
use rkyv::ser::{Allocator, Serializer, Writer};
use rkyv::util::AlignedVec;
use rkyv::vec::{ArchivedVec, VecResolver};
use rkyv::{Archive, Archived, Place, Serialize};

use super::pool::{Buffer, BufferPool};
use crate::record::{ArchiveWriter, BLOCK_ALIGN, Record};

/// Bytes reserved for the root and padding.
const ROOT: usize = 256;

/// Why a builder rejected a record; the builder is unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PushError {
    /// The block is full: finish it and push the record to the next one.
    #[error("the block is full")]
    Full,
    /// The record alone exceeds the largest block.
    #[error("a record of {bytes} bytes does not fit into a block")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// The record cannot be archived: its text or list exceeds the format's limit.
    #[error("a record cannot be archived")]
    Archive,
}

/// Writes values into one buffer, in order.
pub(super) struct Archiver {
    buffer: Buffer,
    arena: Arena,
    /// Length of the completely written values. It differs from the buffer's length only after a panic in a
    /// record's code; nothing more is written or finished then.
    written: usize,
    limit: usize,
}

impl Archiver {
    pub(super) fn new(pool: &BufferPool, capacity: usize, limit: usize) -> Self {
        let arena = Arena::with_capacity(64);
        Self { buffer: pool.take(capacity), arena, written: 0, limit }
    }

    pub(super) fn written(&self) -> usize {
        self.written
    }

    /// Writes a value after its out-of-line parts; returns its position.
    #[inline]
    pub(super) fn append<T>(&mut self, value: &T) -> Result<usize, BoxedError>
    where
        T: for<'s> Serialize<ArchiveWriter<'s>>,
    {
        let bytes = self.buffer.bytes_mut();
        assert_eq!(bytes.len(), self.written, "invariant: a block is written by whole values");
        let writer: AlignedVec<BLOCK_ALIGN> = std::mem::take(bytes);
        let mut serializer = Serializer::new(writer, self.arena.acquire(), ());
        let position = rkyv::api::serialize_using::<_, BoxedError>(value, &mut serializer);
        *bytes = serializer.into_writer();
        match position {
            Ok(position) => {
                self.written = bytes.len();
                Ok(position)
            }
            Err(error) => {
                self.rewind(self.written);
                Err(error)
            }
        }
    }

    /// Truncates to `len`.
    fn rewind(&mut self, len: usize) {
        self.buffer.bytes_mut().resize(len, 0);
        self.written = len;
    }

    /// Truncates to `before` if the block would be too long with `beside` more bytes.
    #[inline]
    pub(super) fn admit(
        &mut self,
        before: usize,
        beside: usize,
        empty: bool,
    ) -> Result<(), PushError> {
        if self.written + beside + ROOT <= self.limit {
            return Ok(());
        }
        let bytes = self.written - before;
        self.rewind(before);
        Err(if empty { PushError::TooLarge { bytes } } else { PushError::Full })
    }

    /// Reserves room for `beside` bytes and the root, in a pooled buffer if possible: growing the buffer
    /// would allocate fresh pages, which cost more than writing to them.
    pub(super) fn make_room(&mut self, pool: &BufferPool, beside: usize) {
        let len = self.written + beside + ROOT;
        if self.buffer.capacity() < len {
            let mut larger = pool.take(len);
            larger.bytes_mut().extend_from_slice(self.buffer.as_slice());
            self.buffer = larger;
        }
    }

    /// Finishes the body, with `root` last.
    pub(super) fn finish<T>(mut self, root: &T) -> Buffer
    where
        T: for<'s> Serialize<ArchiveWriter<'s>>,
    {
        // Writing to memory cannot fail, and lengths are below `MAX_BODY`.
        self.append(root).expect("invariant: the root of a block can be archived");
        self.buffer.fitted()
    }
}

/// Builds a column.
pub(super) struct ColumnBuilder<R> {
    len: usize,
    /// Positions of the rows; unused for inline records.
    positions: Vec<u32>,
    of: std::marker::PhantomData<fn(R)>,
}

impl<R: Record> ColumnBuilder<R> {
    pub(super) fn new() -> Self {
        Self { len: 0, positions: Vec::new(), of: std::marker::PhantomData }
    }

    /// Bytes still to be written at the end.
    pub(super) fn bytes(&self) -> usize {
        self.positions.len() * size_of::<u32>()
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Writes a row; `beside` is what the rest of the block needs.
    #[inline]
    pub(super) fn push(
        &mut self,
        archiver: &mut Archiver,
        view: R::View<'_>,
        beside: usize,
    ) -> Result<(), PushError> {
        let before = archiver.written();
        let position = archiver.append(&R::wire(view)).map_err(|_| PushError::Archive)?;
        if R::INLINE {
            assert_eq!(
                position,
                self.len * size_of::<R::Archived>(),
                "invariant: an inline record writes nothing outside itself"
            );
            archiver.admit(before, beside, self.len == 0)?;
        } else {
            let positions = (self.positions.len() + 1) * size_of::<u32>();
            archiver.admit(before, beside + positions, self.len == 0)?;
            self.positions.push(position as u32);
        }
        self.len += 1;
        Ok(())
    }

    pub(super) fn inline(&self) -> Written<R::Archived> {
        Written { len: self.len, of: std::marker::PhantomData }
    }

    pub(super) fn boxed(&self) -> Boxes<'_, R::Archived> {
        Boxes { positions: &self.positions, of: std::marker::PhantomData }
    }
}

/// An array already written at the start of the body.
pub(super) struct Written<T> {
    len: usize,
    of: std::marker::PhantomData<fn(T)>,
}

impl<T: rkyv::Portable> Archive for Written<T> {
    type Archived = ArchivedVec<T>;
    type Resolver = VecResolver;
    fn resolve(&self, resolver: VecResolver, out: Place<ArchivedVec<T>>) {
        ArchivedVec::resolve_from_len(self.len, resolver, out);
    }
}

impl<'s, T: rkyv::Portable> Serialize<ArchiveWriter<'s>> for Written<T> {
    fn serialize(&self, _: &mut ArchiveWriter<'s>) -> Result<VecResolver, BoxedError> {
        Ok(VecResolver::from_pos(0))
    }
}

/// An array of offsets to written values.
pub(super) struct Boxes<'a, T> {
    positions: &'a [u32],
    of: std::marker::PhantomData<fn(T)>,
}

struct Boxed<T>(u32, std::marker::PhantomData<fn(T)>);

impl<T: rkyv::Portable> Archive for Boxed<T> {
    type Archived = ArchivedBox<T>;
    type Resolver = ();
    fn resolve(&self, (): (), out: Place<ArchivedBox<T>>) {
        ArchivedBox::resolve_from_raw_parts(BoxResolver::from_pos(self.0 as usize), (), out);
    }
}

impl<T: rkyv::Portable, S: rkyv::rancor::Fallible + ?Sized> Serialize<S> for Boxed<T> {
    fn serialize(&self, _: &mut S) -> Result<(), S::Error> {
        Ok(())
    }
}

impl<T: rkyv::Portable> Archive for Boxes<'_, T> {
    type Archived = ArchivedVec<ArchivedBox<T>>;
    type Resolver = VecResolver;
    fn resolve(&self, resolver: VecResolver, out: Place<Self::Archived>) {
        ArchivedVec::resolve_from_len(self.positions.len(), resolver, out);
    }
}

impl<'s, T: rkyv::Portable> Serialize<ArchiveWriter<'s>> for Boxes<'_, T> {
    fn serialize(&self, out: &mut ArchiveWriter<'s>) -> Result<VecResolver, BoxedError> {
        let boxes = self.positions.iter().map(|&at| Boxed::<T>(at, std::marker::PhantomData));
        ArchivedVec::serialize_from_iter::<Boxed<T>, _, _>(boxes, out)
    }
}

/// A slice of scalars to be archived.
pub(super) struct Scalars<'a, T>(pub(super) &'a [T]);

impl<T: Archive> Archive for Scalars<'_, T> {
    type Archived = ArchivedVec<Archived<T>>;
    type Resolver = VecResolver;
    fn resolve(&self, resolver: VecResolver, out: Place<Self::Archived>) {
        ArchivedVec::resolve_from_len(self.0.len(), resolver, out);
    }
}

impl<T, W, A> Serialize<Strategy<Serializer<W, A, ()>, BoxedError>> for Scalars<'_, T>
where
    T: Serialize<Strategy<Serializer<W, A, ()>, BoxedError>>,
    W: Writer<BoxedError>,
    A: Allocator<BoxedError>,
{
    fn serialize(
        &self,
        out: &mut Strategy<Serializer<W, A, ()>, BoxedError>,
    ) -> Result<VecResolver, BoxedError> {
        ArchivedVec::serialize_from_slice(self.0, out)
    }
}

/// A column of records in a block.
pub struct Column<'a, R: Record> {
    /// Rows, if inline.
    inline: &'a [R::Archived],
    /// Rows, if out of line.
    boxed: &'a [ArchivedBox<R::Archived>],
}

impl<R: Record> Clone for Column<'_, R> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<R: Record> Copy for Column<'_, R> {}

impl<'a, R: Record> Column<'a, R> {
    pub(super) fn of_inline(inline: &'a [R::Archived]) -> Self {
        Self { inline, boxed: &[] }
    }

    pub(super) fn of_boxed(boxed: &'a [ArchivedBox<R::Archived>]) -> Self {
        Self { inline: &[], boxed }
    }

    /// Number of records.
    #[inline]
    #[must_use]
    pub fn len(self) -> usize {
        if R::INLINE { self.inline.len() } else { self.boxed.len() }
    }

    /// Whether it is empty; false in every block.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The record at `index`, if there is one.
    #[inline]
    #[must_use]
    pub fn get(self, index: usize) -> Option<R::View<'a>> {
        if R::INLINE {
            self.inline.get(index).map(R::view_archived)
        } else {
            self.boxed.get(index).map(|row| R::view_archived(row.get()))
        }
    }
}
