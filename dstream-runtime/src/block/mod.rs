//! Blocks: the immutable bytes of one output of a task.
//!
//! A block is a header of 64 bytes and a body, an rkyv archive aligned at 64. It comes into
//! being in two ways only: a builder of this process finished it, or the door let foreign bytes
//! in after checking every one of them. (Bytes that this process moved to a file and reads again are
//! no foreign ones: see `moved`.) From then on it is read in place, never checked again, never
//! changed, and shared by cloning.
//!
//! Invariant: the body of a [`Block`] is a valid archive of the layout that its kind and its Rust type
//! (kept beside the bytes) name. All `unsafe` of this module rests on that.

mod column;
mod door;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod header;
mod keyed;
mod moved;
mod pool;
mod rows;
#[cfg(test)]
mod tests;

use std::any::TypeId;
use std::fmt;
use std::io::{self, Write};
use std::sync::{Arc, OnceLock};

use memmap2::Mmap;
use rkyv::util::AlignedVec;

use crate::record::{BLOCK_ALIGN, Key, Record};

pub use column::{Column, PushError};
pub use door::{Door, DoorError};
pub use header::{HEADER_LEN, Kind, Preamble};
pub use keyed::{KeyedBuilder, KeyedIter, KeyedRow, KeyedRows};
pub(crate) use moved::Moved;
pub use pool::{Buffer, BufferPool};
pub use rows::{Rows, RowsBuilder, RowsIter};

use header::Header;

/// The largest body, in bytes. rkyv's offsets end at 2 GiB; blocks end far below, so that one block
/// is neither a pause nor a large part of anybody's memory.
pub const MAX_BODY: usize = 64 << 20;

/// The schema hash of keyed rows.
#[must_use]
pub const fn keyed_schema<K: Key, V: Record>() -> u64 {
    <(K, V) as Record>::SCHEMA.hash()
}

/// Where the bytes of a block lie.
#[derive(Debug)]
pub enum Bytes {
    /// In memory.
    Buffer(Buffer),
    /// In a part of a mapped file, which nobody changes or truncates while it is mapped.
    Mapped {
        /// The file.
        map: Arc<Mmap>,
        /// Where the block begins in it: a multiple of 64.
        start: usize,
        /// Length of the block, header included.
        len: usize,
    },
}

impl Bytes {
    /// All of them; none if the part does not lie in the file.
    fn as_slice(&self) -> &[u8] {
        match self {
            Self::Buffer(buffer) => buffer.as_slice(),
            Self::Mapped { map, start, len } => {
                start.checked_add(*len).and_then(|end| map.get(*start..end)).unwrap_or_default()
            }
        }
    }
}

impl From<Buffer> for Bytes {
    fn from(buffer: Buffer) -> Self {
        Self::Buffer(buffer)
    }
}

impl From<AlignedVec<BLOCK_ALIGN>> for Bytes {
    fn from(bytes: AlignedVec<BLOCK_ALIGN>) -> Self {
        Self::Buffer(Buffer::unpooled(bytes))
    }
}

/// The immutable bytes of one output of a task; a clone shares them.
#[derive(Clone)]
pub struct Block(Arc<Inner>);

struct Inner {
    bytes: Bytes,
    /// Where the body begins in `bytes`: 0 for a block made here, after the header for one that came in.
    body: usize,
    kind: Kind,
    schema: u64,
    records: u64,
    /// The record type of the rows, or of the values of keyed rows.
    of: TypeId,
    /// Made when somebody first asks for it: the checksum is only for bytes that leave the process.
    header: OnceLock<Header>,
}

impl Block {
    /// A block that a builder finished: `body` is a valid archive of that kind and type.
    fn built(body: Buffer, kind: Kind, schema: u64, records: u64, of: TypeId) -> Self {
        let bytes = Bytes::Buffer(body);
        Self(Arc::new(Inner { bytes, body: 0, kind, schema, records, of, header: OnceLock::new() }))
    }

    /// What the rows are.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The schema hash of the record type; see [`keyed_schema`] for keyed rows.
    #[must_use]
    pub fn schema(&self) -> u64 {
        self.0.schema
    }

    /// Number of records.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.0.records
    }

    /// Number of bytes, header included: what it takes to store or send the block.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        HEADER_LEN + self.body().len()
    }

    /// The memory that it holds as long as it lives, in bytes: none if it lies in a mapped file.
    #[must_use]
    pub fn memory(&self) -> usize {
        match &self.0.bytes {
            Bytes::Buffer(buffer) => buffer.capacity(),
            Bytes::Mapped { .. } => 0,
        }
    }

    /// The header: the first 64 bytes of the block outside this process. The first call computes the
    /// checksum of the body.
    #[must_use]
    pub fn header(&self) -> &[u8; HEADER_LEN] {
        let inner = &*self.0;
        let seal = || Header::seal(inner.kind, inner.schema, inner.records, self.body());
        inner.header.get_or_init(seal).as_bytes()
    }

    /// The body, which follows the header outside this process.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        // The door and the builders keep `body` within the bytes.
        self.0.bytes.as_slice().get(self.0.body..).unwrap_or_default()
    }

    /// The checksum of the body: equal blocks have equal ones.
    #[must_use]
    pub fn checksum(&self) -> u64 {
        header::body_checksum(self.header())
    }

    /// Writes header and body.
    ///
    /// # Errors
    /// When `out` cannot take them.
    pub fn write_to(&self, out: &mut impl Write) -> io::Result<()> {
        out.write_all(self.header())?;
        out.write_all(self.body())
    }

    /// A copy of header and body in one aligned buffer: what the door takes.
    #[must_use]
    pub fn to_bytes(&self) -> AlignedVec<BLOCK_ALIGN> {
        let mut bytes = AlignedVec::with_capacity(self.byte_len());
        bytes.extend_from_slice(self.header());
        bytes.extend_from_slice(self.body());
        bytes
    }

    /// A block of bytes that are no rows.
    #[must_use]
    pub fn raw(bytes: Buffer) -> Self {
        Self::built(bytes, Kind::Raw, 0, 0, TypeId::of::<u8>())
    }

    /// The bytes of a raw block.
    ///
    /// # Errors
    /// When the block holds rows.
    pub fn raw_bytes(&self) -> Result<&[u8], DoorError> {
        match self.0.kind {
            Kind::Raw => Ok(self.body()),
            found => Err(DoorError::Kind { expected: Kind::Raw, found }),
        }
    }

    /// The rows, if they are rows of `R`.
    ///
    /// # Errors
    /// When the block holds something else.
    pub fn rows<R: Record>(&self) -> Result<Rows<'_, R>, DoorError> {
        self.expect::<R>(Kind::Rows, || R::SCHEMA.hash())?;
        Ok(Rows::new(self))
    }

    /// The keyed rows, if their values are records of type `V`.
    ///
    /// # Errors
    /// When the block holds something else.
    pub fn keyed<V: Record>(&self) -> Result<KeyedRows<'_, V>, DoorError> {
        self.expect::<V>(Kind::Keyed, || V::SCHEMA.hash())?;
        Ok(KeyedRows::new(self))
    }

    /// Checks what the block holds. Types are compared by identity, not by schema: two types may have
    /// one schema, but only one of them was validated.
    fn expect<R: Record>(&self, kind: Kind, schema: fn() -> u64) -> Result<(), DoorError> {
        if self.0.kind != kind {
            return Err(DoorError::Kind { expected: kind, found: self.0.kind });
        }
        if self.0.of != TypeId::of::<R>() {
            return Err(DoorError::Type { expected: schema(), found: self.0.schema });
        }
        Ok(())
    }
}

impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Block")
            .field("kind", &self.0.kind)
            .field("schema", &format_args!("{:016x}", self.0.schema))
            .field("records", &self.0.records)
            .field("bytes", &self.byte_len())
            .finish()
    }
}
