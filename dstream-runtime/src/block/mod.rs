//! Blocks: the immutable output of a task, in bytes.
//!
//! A block is a 64-byte header and a body, an rkyv archive aligned to 64. A builder of this process makes
//! it, or a decoder validates foreign bytes (see `decode`; bytes that this process spilled to a file are
//! trusted, see `spilled`). Afterwards it is read in place, never validated again, never changed, and shared
//! by cloning.
//!
//! Invariant: the body of a [`Block`] is a valid archive of the layout that its kind and its Rust type
//! (stored beside the bytes) name. All `unsafe` of this module relies on it.

mod column;
mod decode;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod header;
mod keyed;
mod pool;
mod rows;
mod spilled;
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
pub use decode::{BlockDecoder, DecodeError};
pub use header::{HEADER_LEN, Kind, Preamble};
pub use keyed::{KeyedBuilder, KeyedIter, KeyedRow, KeyedRows};
pub use pool::{Buffer, BufferPool};
pub use rows::{Rows, RowsBuilder, RowsIter};
pub(crate) use spilled::SpilledBlock;

use header::Header;

/// Largest body, in bytes. rkyv's offsets end at 2 GiB; blocks end far below, so that one block causes
/// neither a pause nor much use of memory.
pub const MAX_BODY: usize = 64 << 20;

/// The schema hash of keyed rows.
#[must_use]
pub const fn keyed_schema<K: Key, V: Record>() -> u64 {
    <(K, V) as Record>::SCHEMA.hash()
}

/// The bytes of a block.
#[derive(Debug)]
pub enum Bytes {
    /// In memory.
    Buffer(Buffer),
    /// In a mapped file, which is neither changed nor truncated while mapped.
    Mapped {
        /// The file.
        map: Arc<Mmap>,
        /// Offset of the block: a multiple of 64.
        start: usize,
        /// Length of the block, header included.
        len: usize,
    },
}

impl Bytes {
    /// All bytes; empty if the range exceeds the file.
    pub(crate) fn as_slice(&self) -> &[u8] {
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

/// The immutable output of a task; clones share the bytes.
#[derive(Clone)]
pub struct Block(Arc<Inner>);

struct Inner {
    bytes: Bytes,
    /// Offset of the body in `bytes`: 0 for a block built here, after the header for a decoded one.
    body: usize,
    kind: Kind,
    schema: u64,
    records: u64,
    /// The record type of the rows, or of the values of keyed rows.
    of: TypeId,
    /// Computed on first use: only bytes that leave the process need a checksum.
    header: OnceLock<Header>,
}

impl Block {
    /// A block from a builder: `body` is a valid archive of that kind and type.
    fn built(body: Buffer, kind: Kind, schema: u64, records: u64, of: TypeId) -> Self {
        let bytes = Bytes::Buffer(body);
        Self(Arc::new(Inner { bytes, body: 0, kind, schema, records, of, header: OnceLock::new() }))
    }

    /// The kind of its rows.
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

    /// Length in bytes, header included, when stored or sent.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        HEADER_LEN + self.body().len()
    }

    /// Memory used, in bytes: zero for a mapped file.
    #[must_use]
    pub fn memory(&self) -> usize {
        match &self.0.bytes {
            Bytes::Buffer(buffer) => buffer.capacity(),
            Bytes::Mapped { .. } => 0,
        }
    }

    /// The header: the first 64 bytes outside this process. The first call computes the checksum of the
    /// body.
    #[must_use]
    pub fn header(&self) -> &[u8; HEADER_LEN] {
        let inner = &*self.0;
        let seal = || Header::seal(inner.kind, inner.schema, inner.records, self.body());
        inner.header.get_or_init(seal).as_bytes()
    }

    /// The body, which follows the header outside this process.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        // The decoder and the builders keep `body` within the bytes.
        self.0.bytes.as_slice().get(self.0.body..).unwrap_or_default()
    }

    /// The checksum of the body; equal blocks have equal checksums.
    #[must_use]
    pub fn checksum(&self) -> u64 {
        header::body_checksum(self.header())
    }

    /// Writes header and body.
    ///
    /// # Errors
    /// When `out` fails.
    pub fn write_to(&self, out: &mut impl Write) -> io::Result<()> {
        out.write_all(self.header())?;
        out.write_all(self.body())
    }

    /// Copies header and body into one aligned buffer, as decoders take it.
    #[must_use]
    pub fn to_bytes(&self) -> AlignedVec<BLOCK_ALIGN> {
        let mut bytes = AlignedVec::with_capacity(self.byte_len());
        bytes.extend_from_slice(self.header());
        bytes.extend_from_slice(self.body());
        bytes
    }

    /// Makes a raw block.
    #[must_use]
    pub fn raw(bytes: Buffer) -> Self {
        Self::built(bytes, Kind::Raw, 0, 0, TypeId::of::<u8>())
    }

    /// The bytes of a raw block.
    ///
    /// # Errors
    /// When the block holds rows.
    pub fn raw_bytes(&self) -> Result<&[u8], DecodeError> {
        match self.0.kind {
            Kind::Raw => Ok(self.body()),
            found => Err(DecodeError::Kind { expected: Kind::Raw, found }),
        }
    }

    /// The rows as rows of `R`.
    ///
    /// # Errors
    /// When the block holds something else.
    pub fn rows<R: Record>(&self) -> Result<Rows<'_, R>, DecodeError> {
        self.expect::<R>(Kind::Rows, || R::SCHEMA.hash())?;
        Ok(Rows::new(self))
    }

    /// The keyed rows, with values of type `V`.
    ///
    /// # Errors
    /// When the block holds something else.
    pub fn keyed<V: Record>(&self) -> Result<KeyedRows<'_, V>, DecodeError> {
        self.expect::<V>(Kind::Keyed, || V::SCHEMA.hash())?;
        Ok(KeyedRows::new(self))
    }

    /// Checks the kind and the type. Types are compared by identity, not by schema: two types may share a
    /// schema, but only one was validated.
    fn expect<R: Record>(&self, kind: Kind, schema: fn() -> u64) -> Result<(), DecodeError> {
        if self.0.kind != kind {
            return Err(DecodeError::Kind { expected: kind, found: self.0.kind });
        }
        if self.0.of != TypeId::of::<R>() {
            return Err(DecodeError::Type { expected: schema(), found: self.0.schema });
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
