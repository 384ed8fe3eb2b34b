//! The door: the only way in for bytes that this process did not make.
//!
//! Order matters. Length and checksum come first, since rkyv reports a truncated archive as something
//! else and lets most flipped bits pass; then the type; then rkyv's own validation, once; then what
//! rkyv cannot know about keys. What passes is a [`Block`]; what does not is never read.

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

/// Lets in blocks of one kind and type: what generated tables name, so that code that moves bytes
/// needs no type parameters.
pub type Door = fn(Bytes) -> Result<Block, DoorError>;

/// Why bytes are not let in, or a block is not what it is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DoorError {
    /// Shorter than a header.
    #[error("{has} bytes are no block: its header alone has {HEADER_LEN}")]
    Truncated {
        /// Bytes given.
        has: usize,
    },
    /// Something else altogether.
    #[error("the bytes are no block")]
    Magic,
    /// Written by another version.
    #[error("the block has version {found}, which this program does not read")]
    Version {
        /// Its version.
        found: u16,
    },
    /// The header is damaged.
    #[error("the header of the block is damaged: its checksum differs")]
    HeaderChecksum,
    /// No kind of this version.
    #[error("the block is of the unknown kind {found}")]
    UnknownKind {
        /// Its code.
        found: u8,
    },
    /// Flags that no block of this version has.
    #[error("the block has unknown flags")]
    Flags,
    /// Claims too long a body.
    #[error("the block claims a body of {body} bytes; none is that long")]
    TooLong {
        /// The length claimed.
        body: u64,
    },
    /// The body is shorter or longer than the header says.
    #[error("the block has a body of {found} bytes and should have {expected}")]
    Length {
        /// What the header says.
        expected: usize,
        /// Bytes after the header.
        found: usize,
    },
    /// The bytes do not begin at a multiple of 64.
    #[error("the block does not lie at a multiple of {BLOCK_ALIGN} in memory")]
    Misaligned,
    /// Another kind.
    #[error("the block holds {found}, not {expected}")]
    Kind {
        /// What was asked for.
        expected: Kind,
        /// What it is.
        found: Kind,
    },
    /// Records of another shape.
    #[error("the block holds records of schema {found:016x}, not {expected:016x}")]
    Schema {
        /// What was asked for.
        expected: u64,
        /// What it is.
        found: u64,
    },
    /// A block of this process holds another Rust type (schemas are those of the values asked for and
    /// of the block).
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
    /// The body is no archive of its type.
    #[error("the body of the block is no valid archive of its type")]
    Archive,
    /// The header and the body disagree about the number of records, or there is none.
    #[error("the block holds {found} records, but its header says {expected}")]
    Records {
        /// What the header says.
        expected: u64,
        /// What the body has.
        found: u64,
    },
    /// Columns of different lengths, or keys whose ends do not grow.
    #[error("the key columns of the block do not fit together")]
    KeyColumn,
    /// Bytes that no key of the type has.
    #[error("the bytes of key {index} of the block are no key of its type")]
    Key {
        /// Its index.
        index: u64,
    },
}

impl Block {
    /// The door for rows of `R`.
    ///
    /// # Errors
    /// When the bytes are anything but an undamaged block of that type.
    pub fn open_rows<R: Record>(bytes: Bytes) -> Result<Self, DoorError> {
        let (header, body) = split(&bytes, Kind::Rows, R::SCHEMA.hash())?;
        let found = if R::INLINE {
            validate::<InlineRows<R>>(body)?.len()
        } else {
            validate::<BoxedRows<R>>(body)?.len()
        };
        records(&header, found)?;
        Ok(Self::admitted(header, bytes, TypeId::of::<R>()))
    }

    /// The door for rows of `V` keyed by `K`.
    ///
    /// # Errors
    /// When the bytes are anything but an undamaged block of that type.
    pub fn open_keyed<K: Key, V: Record>(bytes: Bytes) -> Result<Self, DoorError> {
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

    /// The door for bytes that are no rows.
    ///
    /// # Errors
    /// When the bytes are anything but an undamaged raw block.
    pub fn open_raw(bytes: Bytes) -> Result<Self, DoorError> {
        let (header, _) = split(&bytes, Kind::Raw, 0)?;
        Ok(Self::admitted(header, bytes, TypeId::of::<u8>()))
    }

    /// A block whose bytes were checked, all of them, for that type.
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

/// Checks everything that needs no type, and hands out the body.
pub(super) fn split(
    bytes: &Bytes,
    kind: Kind,
    schema: u64,
) -> Result<((Header, Preamble), &[u8]), DoorError> {
    let bytes = bytes.as_slice();
    let Some((header, body)) = bytes.split_first_chunk::<HEADER_LEN>() else {
        return Err(DoorError::Truncated { has: bytes.len() });
    };
    let said = Preamble::read(header)?;
    if body.len() != said.body_len {
        return Err(DoorError::Length { expected: said.body_len, found: body.len() });
    }
    if !bytes.as_ptr().addr().is_multiple_of(BLOCK_ALIGN) {
        return Err(DoorError::Misaligned);
    }
    if said.kind != kind {
        return Err(DoorError::Kind { expected: kind, found: said.kind });
    }
    if said.schema != schema {
        return Err(DoorError::Schema { expected: schema, found: said.schema });
    }
    let found = xxh3_64(body);
    if found != said.checksum {
        return Err(DoorError::BodyChecksum { expected: said.checksum, found });
    }
    Ok(((Header::from_bytes(*header), said), body))
}

fn validate<T>(body: &[u8]) -> Result<&T, DoorError>
where
    T: Portable + for<'a> CheckBytes<Validator<'a>>,
{
    rkyv::access::<T, BoxedError>(body).map_err(|_| DoorError::Archive)
}

/// A block has at least one record, and as many as its header says.
fn records((_, said): &(Header, Preamble), found: usize) -> Result<(), DoorError> {
    let found = found as u64;
    if found != said.records || found == 0 {
        return Err(DoorError::Records { expected: said.records, found });
    }
    Ok(())
}
