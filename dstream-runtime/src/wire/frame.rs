//! Frames: the units of a QUIC stream.
//!
//! | bytes | what |
//! |---|---|
//! | 0..2 | magic |
//! | 2 | version of the protocol |
//! | 3 | kind |
//! | 4..8 | length of the payload, little-endian |
//! | 8..16 | xxh3 of bytes 0..8 and the payload |
//!
//! The header is checked before anything is allocated: its length must be within the bound of its kind.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::message::MessageKind;

/// Version of the protocol: of frames and of everything in them.
pub const PROTOCOL: u8 = 1;

/// Length of a frame's header in bytes.
pub const FRAME_HEADER: usize = 16;

const MAGIC: [u8; 2] = [0xd5, b'F'];

/// Lower codes belong to the transport, the others to messages.
const FIRST_MESSAGE: u8 = 32;

/// The longest payload of any frame, in bytes.
pub const LONGEST: usize = 16 << 20;

/// The content of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameKind {
    /// [`Hello`](super::Hello): the first of a control connection.
    Hello,
    /// [`Welcome`](super::Welcome): the answer to it.
    Welcome,
    /// [`Attach`](super::Attach): the first of a bulk connection.
    Attach,
    /// The answer to it; empty.
    Attached,
    /// [`Join`](super::Join): a token for a certificate.
    Join,
    /// [`Issued`](super::Issued): the certificate.
    Issued,
    /// [`Renew`](super::Renew): asks for a certificate for the next period.
    Renew,
    /// [`Renewed`](super::Renewed): the certificate.
    Renewed,
    /// The sender has sent everything; empty.
    Goodbye,
    /// [`BlockHeader`](super::BlockHeader): the block follows on the same QUIC stream.
    Block,
    /// A message.
    Message(MessageKind),
}

impl FrameKind {
    const fn code(self) -> u8 {
        match self {
            Self::Hello => 1,
            Self::Welcome => 2,
            Self::Attach => 3,
            Self::Attached => 4,
            Self::Join => 5,
            Self::Issued => 6,
            Self::Renew => 7,
            Self::Renewed => 8,
            Self::Goodbye => 9,
            Self::Block => 10,
            Self::Message(kind) => FIRST_MESSAGE + kind.code(),
        }
    }

    fn of(code: u8) -> Option<Self> {
        Some(match code {
            1 => Self::Hello,
            2 => Self::Welcome,
            3 => Self::Attach,
            4 => Self::Attached,
            5 => Self::Join,
            6 => Self::Issued,
            7 => Self::Renew,
            8 => Self::Renewed,
            9 => Self::Goodbye,
            10 => Self::Block,
            _ => Self::Message(MessageKind::of(code.checked_sub(FIRST_MESSAGE)?)?),
        })
    }

    /// The longest payload of this kind, in bytes.
    #[must_use]
    pub const fn max_len(self) -> usize {
        match self {
            // A batch of very many small files, with its ranges.
            Self::Message(MessageKind::ToWorker | MessageKind::MasterNote) => LONGEST,
            Self::Message(_) => 1 << 20,
            Self::Attached | Self::Goodbye => 0,
            Self::Block => 256,
            Self::Attach | Self::Renew => 1 << 10,
            // An Ed25519 certificate has about 500 bytes.
            Self::Hello | Self::Welcome | Self::Join | Self::Issued | Self::Renewed => 8 << 10,
        }
    }
}

/// Why a frame is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Fewer bytes than a header.
    #[error("a frame is cut off after {has} bytes")]
    Truncated {
        /// Bytes there are.
        has: usize,
    },
    /// Not a frame.
    #[error("the bytes are no frame")]
    Magic,
    /// Another version of the protocol.
    #[error("a frame has version {found}, this process speaks {PROTOCOL}")]
    Version {
        /// The version.
        found: u8,
    },
    /// Unknown in this version.
    #[error("a frame is of the unknown kind {found}")]
    Kind {
        /// Its code.
        found: u8,
    },
    /// Too long for its kind.
    #[error("a frame claims {claimed} bytes; one of its kind has at most {max}")]
    TooLong {
        /// What it claims.
        claimed: u32,
        /// The bound.
        max: usize,
    },
    /// The frame is damaged.
    #[error("a frame is damaged: its checksum differs")]
    Checksum,
    /// A frame of this kind is not expected here.
    #[error("a frame of kind {found:?} came where another was due")]
    Unexpected {
        /// Its kind.
        found: FrameKind,
    },
    /// The payload does not decode as its kind.
    #[error("the payload of a frame of kind {kind:?} cannot be read")]
    Payload {
        /// The kind.
        kind: FrameKind,
    },
}

/// A checked header: the payload may be received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    /// What the frame holds.
    pub kind: FrameKind,
    /// Length of the payload; within the bound of the kind.
    pub len: usize,
    seed: u64,
    checksum: u64,
}

impl FrameHeader {
    /// Reads a header.
    ///
    /// # Errors
    /// When it is invalid, of another version, or claims too long a payload.
    pub fn read(bytes: &[u8; FRAME_HEADER]) -> Result<Self, FrameError> {
        let [m0, m1, version, code, l0, l1, l2, l3, checksum @ ..] = *bytes;
        if [m0, m1] != MAGIC {
            return Err(FrameError::Magic);
        }
        if version != PROTOCOL {
            return Err(FrameError::Version { found: version });
        }
        let kind = FrameKind::of(code).ok_or(FrameError::Kind { found: code })?;
        let claimed = u32::from_le_bytes([l0, l1, l2, l3]);
        if claimed as usize > kind.max_len() {
            return Err(FrameError::TooLong { claimed, max: kind.max_len() });
        }
        let seed = u64::from_le_bytes([m0, m1, version, code, l0, l1, l2, l3]);
        Ok(Self { kind, len: claimed as usize, seed, checksum: u64::from_le_bytes(checksum) })
    }

    /// Checks the payload.
    ///
    /// # Errors
    /// When it differs from the one sent with this header.
    pub fn check(&self, payload: &[u8]) -> Result<(), FrameError> {
        if payload.len() != self.len {
            return Err(FrameError::Truncated { has: FRAME_HEADER + payload.len() });
        }
        if xxh3_64_with_seed(payload, self.seed) != self.checksum {
            return Err(FrameError::Checksum);
        }
        Ok(())
    }
}

/// A frame in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// What it holds.
    pub kind: FrameKind,
    /// The payload.
    pub payload: Vec<u8>,
}

impl Frame {
    /// Builds a frame: reserves the header, lets `fill` append the payload, and fills in the header.
    ///
    /// # Errors
    /// When the payload is longer than its kind allows.
    pub fn seal(
        kind: FrameKind,
        fill: impl FnOnce(Vec<u8>) -> Vec<u8>,
    ) -> Result<Vec<u8>, FrameError> {
        let mut bytes = fill(vec![0; FRAME_HEADER]);
        let len = bytes.len().saturating_sub(FRAME_HEADER);
        let claimed = u32::try_from(len).unwrap_or(u32::MAX);
        if len > kind.max_len() {
            return Err(FrameError::TooLong { claimed, max: kind.max_len() });
        }
        bytes[..2].copy_from_slice(&MAGIC);
        bytes[2] = PROTOCOL;
        bytes[3] = kind.code();
        bytes[4..8].copy_from_slice(&claimed.to_le_bytes());
        let mut seed = [0; 8];
        seed.copy_from_slice(&bytes[..8]);
        let checksum = xxh3_64_with_seed(&bytes[FRAME_HEADER..], u64::from_le_bytes(seed));
        bytes[8..FRAME_HEADER].copy_from_slice(&checksum.to_le_bytes());
        Ok(bytes)
    }

    /// A frame without payload.
    #[must_use]
    pub fn empty(kind: FrameKind) -> Vec<u8> {
        Self::seal(kind, |bytes| bytes).unwrap_or_default()
    }

    /// Reads the frame at the start of `bytes`, and its length.
    ///
    /// # Errors
    /// When `bytes` does not begin with a whole and undamaged frame.
    pub fn read(bytes: &[u8]) -> Result<(Self, usize), FrameError> {
        let truncated = FrameError::Truncated { has: bytes.len() };
        let (head, rest) = bytes.split_first_chunk::<FRAME_HEADER>().ok_or(truncated)?;
        let header = FrameHeader::read(head)?;
        let payload = rest.get(..header.len).ok_or(truncated)?;
        header.check(payload)?;
        Ok((Self { kind: header.kind, payload: payload.to_vec() }, FRAME_HEADER + header.len))
    }
}
