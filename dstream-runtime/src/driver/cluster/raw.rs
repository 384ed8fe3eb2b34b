//! Bytes in raw blocks, and out of them.

use std::borrow::Cow;

use crate::block::{Block, BufferPool, DecodeError, MAX_BODY};

/// Bytes as blocks: several where one would be too large.
pub(super) fn pieces(pool: &BufferPool, bytes: &[u8]) -> Vec<Block> {
    let piece = |bytes: &[u8]| {
        let mut buffer = pool.take(bytes.len());
        buffer.bytes_mut().extend_from_slice(bytes);
        Block::raw(buffer)
    };
    bytes.chunks(MAX_BODY).map(piece).collect()
}

/// The bytes of blocks.
///
/// # Errors
/// When one is no raw block.
pub(super) fn whole(blocks: &[Block]) -> Result<Cow<'_, [u8]>, DecodeError> {
    if let [block] = blocks {
        return block.raw_bytes().map(Cow::Borrowed);
    }
    let mut bytes = Vec::with_capacity(blocks.iter().map(Block::byte_len).sum());
    for block in blocks {
        bytes.extend_from_slice(block.raw_bytes()?);
    }
    Ok(Cow::Owned(bytes))
}
