//! Blocks that this process spilled to a file.
//!
//! Such a block was validated or built before, so its type is known. Validity depends on the bytes alone,
//! and equal header and body checksums mean equal bytes; so rkyv's validation is not repeated. Bytes that
//! the disk lost or changed are refused like any damaged block.

use std::any::TypeId;
use std::sync::Arc;

use memmap2::Mmap;

use super::decode::split;
use super::header::Header;
use super::{Block, Bytes, DecodeError};

/// A block without its bytes, and their place in the file.
#[derive(Clone)]
pub(crate) struct SpilledBlock {
    header: Header,
    of: TypeId,
    map: Arc<Mmap>,
    start: usize,
    len: usize,
}

impl Block {
    /// Converts the block for a file that holds its bytes at `start`.
    pub(crate) fn spilled(&self, map: Arc<Mmap>, start: usize) -> SpilledBlock {
        let header = Header::from_bytes(*self.header());
        SpilledBlock { header, of: self.0.of, map, start, len: self.byte_len() }
    }
}

impl SpilledBlock {
    /// Length of the block, header included.
    pub(crate) fn byte_len(&self) -> usize {
        self.len
    }

    /// Reads the block back, with all its bytes.
    ///
    /// # Errors
    /// When the file does not hold what was written.
    pub(crate) fn open(&self) -> Result<Block, DecodeError> {
        let (map, start, len) = (Arc::clone(&self.map), self.start, self.len);
        let bytes = Bytes::Mapped { map, start, len };
        let said = super::Preamble::read(self.header.as_bytes())?;
        let ((header, found), _) = split(&bytes, said.kind, said.schema)?;
        if header.as_bytes() != self.header.as_bytes() {
            let (expected, found) = (said.checksum, found.checksum);
            return Err(DecodeError::BodyChecksum { expected, found });
        }
        Ok(Block::admitted((header, found), bytes, self.of))
    }
}
