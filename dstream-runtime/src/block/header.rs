//! The header of a block outside the process: 64 bytes, little-endian.
//!
//! | bytes | what |
//! |---|---|
//! | 0..8 | magic |
//! | 8..10 | version |
//! | 10 | kind |
//! | 11..16 | flags, all zero in this version |
//! | 16..24 | schema hash |
//! | 24..32 | length of the body |
//! | 32..40 | number of records |
//! | 40..48 | xxh3 of the body |
//! | 48..56 | zero |
//! | 56..64 | xxh3 of bytes 0..56 |
//!
//! A header is accepted only if every byte is as [`Header::seal`] writes it.

use xxhash_rust::xxh3::xxh3_64;

use super::{DecodeError, MAX_BODY};

/// Length of the header in bytes; it keeps the body aligned.
pub const HEADER_LEN: usize = 64;

const MAGIC: &[u8; 8] = b"dstreamB";
const VERSION: u16 = 1;

/// The kind of a block's rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Records.
    Rows,
    /// Keys and records.
    Keyed,
    /// No rows: bytes that only their owner can read, such as lines of a source or an output part.
    Raw,
}

impl Kind {
    const fn code(self) -> u8 {
        match self {
            Self::Rows => 1,
            Self::Keyed => 2,
            Self::Raw => 3,
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Rows => "rows",
            Self::Keyed => "keyed rows",
            Self::Raw => "raw bytes",
        })
    }
}

/// The header as bytes.
#[derive(Clone)]
pub(super) struct Header([u8; HEADER_LEN]);

/// The part of a header that is needed to receive the rest of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preamble {
    /// The kind of rows.
    pub kind: Kind,
    /// The schema hash of the record type.
    pub schema: u64,
    /// Length of the body; at most [`MAX_BODY`].
    pub body_len: usize,
    /// Number of records, as claimed.
    pub records: u64,
    /// xxh3 of the body.
    pub checksum: u64,
}

fn word(bytes: &[u8; HEADER_LEN], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

/// The body's checksum, as named by a header.
pub(super) fn body_checksum(header: &[u8; HEADER_LEN]) -> u64 {
    word(header, 40)
}

impl Header {
    /// Makes the header of a body.
    pub(super) fn seal(kind: Kind, schema: u64, records: u64, body: &[u8]) -> Self {
        let mut bytes = [0; HEADER_LEN];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..10].copy_from_slice(&VERSION.to_le_bytes());
        bytes[10] = kind.code();
        bytes[16..24].copy_from_slice(&schema.to_le_bytes());
        bytes[24..32].copy_from_slice(&(body.len() as u64).to_le_bytes());
        bytes[32..40].copy_from_slice(&records.to_le_bytes());
        bytes[40..48].copy_from_slice(&xxh3_64(body).to_le_bytes());
        let checksum = xxh3_64(&bytes[..56]);
        bytes[56..].copy_from_slice(&checksum.to_le_bytes());
        Self(bytes)
    }

    pub(super) fn as_bytes(&self) -> &[u8; HEADER_LEN] {
        &self.0
    }

    pub(super) fn from_bytes(bytes: [u8; HEADER_LEN]) -> Self {
        Self(bytes)
    }
}

impl Preamble {
    /// Reads a header, before a receiver allocates the body.
    ///
    /// # Errors
    /// When it is invalid, damaged, of another version, or claims too long a body.
    pub fn read(bytes: &[u8; HEADER_LEN]) -> Result<Self, DecodeError> {
        if &bytes[..8] != MAGIC {
            return Err(DecodeError::Magic);
        }
        let version = u16::from_le_bytes([bytes[8], bytes[9]]);
        if version != VERSION {
            return Err(DecodeError::Version { found: version });
        }
        if word(bytes, 56) != xxh3_64(&bytes[..56]) {
            return Err(DecodeError::HeaderChecksum);
        }
        let kind = match bytes[10] {
            1 => Kind::Rows,
            2 => Kind::Keyed,
            3 => Kind::Raw,
            found => return Err(DecodeError::UnknownKind { found }),
        };
        if bytes[11..16].iter().chain(&bytes[48..56]).any(|&flag| flag != 0) {
            return Err(DecodeError::Flags);
        }
        let body_len = word(bytes, 24);
        if body_len > MAX_BODY as u64 {
            return Err(DecodeError::TooLong { body: body_len });
        }
        Ok(Self {
            kind,
            schema: word(bytes, 16),
            body_len: body_len as usize,
            records: word(bytes, 32),
            checksum: body_checksum(bytes),
        })
    }
}
