//! Decoding blocks: the only entrance for bytes that this process did not make.
//!
//! The order matters. Length and checksum come first, because rkyv reports a truncated archive as another
//! error and misses most flipped bits; then the type; then rkyv's validation, once; then the key columns,
//! which rkyv cannot check. Bytes that pass become a [`Block`]; others are never read.

use std::any::TypeId;
use std::sync::{Arc, OnceLock};

use rkyv::Portable;
use rkyv::bytecheck::CheckBytes;
use rkyv::rancor::BoxedError;
use xxhash_rust::xxh3::xxh3_64;

use super::header::{HEADER_LEN, Header, Kind, Preamble};
use super::keyed::{BoxedBody, InlineBody, KeyedRows};
use super::rows::{BoxedRows, InlineRows};
use super::{Block, Bytes, Inner, keyed_schema};
use crate::record::{BLOCK_ALIGN, Key, Record, Validator};

/// Decodes blocks of one kind and type. Generated tables name decoders, so that code that moves bytes needs
/// no type parameters.
pub type BlockDecoder = fn(Bytes) -> Result<Block, DecodeError>;

/// Why bytes are not a block, or a block is not of the expected type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Shorter than a header.
    #[error("{has} bytes are no block: its header alone has {HEADER_LEN}")]
    Truncated {
        /// Bytes given.
        has: usize,
    },
    /// Not a block.
    #[error("the bytes are no block")]
    Magic,
    /// Written by an unsupported version.
    #[error("the block has version {found}, which this program does not read")]
    Version {
        /// Its version.
        found: u16,
    },
    /// The header is damaged.
    #[error("the header of the block is damaged: its checksum differs")]
    HeaderChecksum,
    /// Unknown in this version.
    #[error("the block is of the unknown kind {found}")]
    UnknownKind {
        /// Its code.
        found: u8,
    },
    /// Flags unknown in this version.
    #[error("the block has unknown flags")]
    Flags,
    /// The claimed body is too long.
    #[error("the block claims a body of {body} bytes; none is that long")]
    TooLong {
        /// The length claimed.
        body: u64,
    },
    /// The body's length differs from the header's.
    #[error("the block has a body of {found} bytes and should have {expected}")]
    Length {
        /// What the header says.
        expected: usize,
        /// Bytes after the header.
        found: usize,
    },
    /// The bytes are not aligned to 64.
    #[error("the block does not lie at a multiple of {BLOCK_ALIGN} in memory")]
    Misaligned,
    /// Another kind.
    #[error("the block holds {found}, not {expected}")]
    Kind {
        /// The kind asked for.
        expected: Kind,
        /// The block's kind.
        found: Kind,
    },
    /// Records of another schema.
    #[error("the block holds records of schema {found:016x}, not {expected:016x}")]
    Schema {
        /// The schema asked for.
        expected: u64,
        /// The block's schema.
        found: u64,
    },
    /// The block was built in this process for another Rust type (possibly of the same schema).
    #[error(
        "the block (schema {found:016x}) holds another type than that of schema {expected:016x}"
    )]
    Type {
        /// Schema of the type asked for.
        expected: u64,
        /// Schema of the block.
        found: u64,
    },
    /// The body is damaged.
    #[error("the body of the block is damaged: its checksum is {found:016x}, not {expected:016x}")]
    BodyChecksum {
        /// What the header says.
        expected: u64,
        /// What the body has.
        found: u64,
    },
    /// The body is no valid archive of its type.
    #[error("the body of the block is no valid archive of its type")]
    Archive,
    /// Header and body disagree about the number of records, or the block is empty.
    #[error("the block holds {found} records, but its header says {expected}")]
    Records {
        /// What the header says.
        expected: u64,
        /// What the body has.
        found: u64,
    },
    /// Key columns of different lengths, or key ends that do not grow.
    #[error("the key columns of the block do not fit together")]
    KeyColumn,
    /// Bytes that are no key of the type.
    #[error("the bytes of key {index} of the block are no key of its type")]
    Key {
        /// Its index.
        index: u64,
    },
}

impl Block {
    /// Decodes rows of `R`.
    ///
    /// # Errors
    /// When the bytes are not an undamaged block of that type.
    pub fn open_rows<R: Record>(bytes: Bytes) -> Result<Self, DecodeError> {
        let (header, body) = split(&bytes, Kind::Rows, R::SCHEMA.hash())?;
        let found = if R::INLINE {
            validate::<InlineRows<R>>(body)?.len()
        } else {
            validate::<BoxedRows<R>>(body)?.len()
        };
        records(&header, found)?;
        Ok(Self::admitted(header, bytes, TypeId::of::<R>()))
    }

    /// Decodes rows of `V` keyed by `K`.
    ///
    /// # Errors
    /// When the bytes are not an undamaged block of that type.
    pub fn open_keyed<K: Key, V: Record>(bytes: Bytes) -> Result<Self, DecodeError> {
        let (header, body) = split(&bytes, Kind::Keyed, keyed_schema::<K, V>())?;
        let rows: KeyedRows<'_, V> = if V::INLINE {
            KeyedRows::inline(validate::<InlineBody<V>>(body)?)
        } else {
            KeyedRows::boxed(validate::<BoxedBody<V>>(body)?)
        };
        records(&header, rows.len())?;
        rows.check::<K>()?;
        Ok(Self::admitted(header, bytes, TypeId::of::<V>()))
    }

    /// Decodes a raw block.
    ///
    /// # Errors
    /// When the bytes are not an undamaged raw block.
    pub fn open_raw(bytes: Bytes) -> Result<Self, DecodeError> {
        let (header, _) = split(&bytes, Kind::Raw, 0)?;
        Ok(Self::admitted(header, bytes, TypeId::of::<u8>()))
    }

    /// A block whose bytes are validated for that type.
    pub(super) fn admitted((header, said): (Header, Preamble), bytes: Bytes, of: TypeId) -> Self {
        Self(Arc::new(Inner {
            bytes,
            body: HEADER_LEN,
            kind: said.kind,
            schema: said.schema,
            records: said.records,
            of,
            header: OnceLock::from(header),
        }))
    }
}

/// Checks everything that does not depend on the type; returns the body.
pub(super) fn split(
    bytes: &Bytes,
    kind: Kind,
    schema: u64,
) -> Result<((Header, Preamble), &[u8]), DecodeError> {
    let bytes = bytes.as_slice();
    let Some((header, body)) = bytes.split_first_chunk::<HEADER_LEN>() else {
        return Err(DecodeError::Truncated { has: bytes.len() });
    };
    let said = Preamble::read(header)?;
    if body.len() != said.body_len {
        return Err(DecodeError::Length { expected: said.body_len, found: body.len() });
    }
    if !bytes.as_ptr().addr().is_multiple_of(BLOCK_ALIGN) {
        return Err(DecodeError::Misaligned);
    }
    if said.kind != kind {
        return Err(DecodeError::Kind { expected: kind, found: said.kind });
    }
    if said.schema != schema {
        return Err(DecodeError::Schema { expected: schema, found: said.schema });
    }
    let found = xxh3_64(body);
    if found != said.checksum {
        return Err(DecodeError::BodyChecksum { expected: said.checksum, found });
    }
    Ok(((Header::from_bytes(*header), said), body))
}

fn validate<T>(body: &[u8]) -> Result<&T, DecodeError>
where
    T: Portable + for<'a> CheckBytes<Validator<'a>>,
{
    rkyv::access::<T, BoxedError>(body).map_err(|_| DecodeError::Archive)
}

/// A block has at least one record, and as many as its header says.
fn records((_, said): &(Header, Preamble), found: usize) -> Result<(), DecodeError> {
    let found = found as u64;
    if found != said.records || found == 0 {
        return Err(DecodeError::Records { expected: said.records, found });
    }
    Ok(())
}
