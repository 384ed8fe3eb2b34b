//! Blocks whose bytes have moved to a file of this process.
//!
//! Such a block was let in, or built, before: its type is known, and its bytes were valid. They are
//! the same bytes if the file has the same header and a body of the same checksum, and validity is a
//! property of the bytes alone; so rkyv's validation is not run again. What the disk has lost or changed
//! is refused like any damaged block.

use std::any::TypeId;
use std::sync::Arc;

use memmap2::Mmap;

use super::door::split;
use super::header::Header;
use super::{Block, Bytes, DoorError};

/// All of a block but its bytes, and where those are.
#[derive(Clone)]
pub(crate) struct Moved {
    header: Header,
    of: TypeId,
    map: Arc<Mmap>,
    start: usize,
    len: usize,
}

impl Block {
    /// The block, as it will be when its bytes are only in that file, from `start` on.
    pub(crate) fn moved(&self, map: Arc<Mmap>, start: usize) -> Moved {
        let header = Header::from_bytes(*self.header());
        Moved { header, of: self.0.of, map, start, len: self.byte_len() }
    }
}

impl Moved {
    /// Length of the block, header included.
    pub(crate) fn byte_len(&self) -> usize {
        self.len
    }

    /// The block again. Reads all its bytes.
    ///
    /// # Errors
    /// When the file does not have what was written to it.
    pub(crate) fn open(&self) -> Result<Block, DoorError> {
        let (map, start, len) = (Arc::clone(&self.map), self.start, self.len);
        let bytes = Bytes::Mapped { map, start, len };
        let said = super::Preamble::read(self.header.as_bytes())?;
        let ((header, found), _) = split(&bytes, said.kind, said.schema)?;
        if header.as_bytes() != self.header.as_bytes() {
            let (expected, found) = (said.checksum, found.checksum);
            return Err(DoorError::BodyChecksum { expected, found });
        }
        Ok(Block::admitted((header, found), bytes, self.of))
    }
}
