//! Segments: files that blocks are appended to.
//!
//! A segment never has a name, so its space is freed with the process and its maps, and nothing needs a
//! sweep. It is reserved whole at creation, so that a full disk fails there; written parts are never changed
//! or truncated. Its space is freed when the writer and all its blocks are gone.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use memmap2::Mmap;
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use super::SpillError;
use super::map;
use crate::block::Block;
use crate::record::BLOCK_ALIGN;

/// Write size for small blocks, in bytes.
const BUFFER: usize = 256 << 10;

/// A file that blocks are appended to.
pub(super) struct Segment {
    file: File,
    at: u64,
    space: Arc<Space>,
}

/// Reserved disk space, released on drop.
pub(super) struct Space {
    bytes: u64,
    reserved: Arc<AtomicU64>,
}

impl Space {
    /// Reserves space if the limit allows.
    fn reserve(reserved: &Arc<AtomicU64>, bytes: u64, limit: u64) -> Result<Self, SpillError> {
        let taken = reserved.fetch_add(bytes, Ordering::Relaxed);
        let space = Self { bytes, reserved: Arc::clone(reserved) };
        if taken.saturating_add(bytes) > limit {
            return Err(SpillError::Limit { limit });
        }
        Ok(space)
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        self.reserved.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Written blocks: one map for all, and their offsets.
pub(super) struct Run {
    pub(super) map: Arc<Mmap>,
    pub(super) starts: Vec<usize>,
    pub(super) space: Arc<Space>,
}

/// A block's size in a segment, with padding.
pub(super) fn room_for(block: &Block) -> u64 {
    block.byte_len().next_multiple_of(BLOCK_ALIGN) as u64
}

impl Segment {
    /// Creates a segment of `bytes` in `dir`, which is created if absent.
    pub(super) fn create(
        dir: &Path,
        bytes: u64,
        reserved: &Arc<AtomicU64>,
        limit: u64,
    ) -> Result<Self, SpillError> {
        let failed = |doing| {
            move |error| SpillError::Io { doing, dir: dir.to_owned(), error: Arc::new(error) }
        };
        let space = Arc::new(Space::reserve(reserved, bytes, limit)?);
        std::fs::create_dir_all(dir).map_err(failed("make the directory"))?;
        let file = tempfile::tempfile_in(dir).map_err(failed("create a file"))?;
        reserve(&file, bytes).map_err(failed("reserve room for a file"))?;
        Ok(Self { file, at: 0, space })
    }

    /// Bytes left.
    pub(super) fn room(&self) -> u64 {
        self.space.bytes - self.at
    }

    /// Appends blocks that fit. After an error the segment must not be used.
    pub(super) fn append(&mut self, dir: &Path, blocks: &[Block]) -> Result<Run, SpillError> {
        let failed = |doing| {
            move |error| SpillError::Io { doing, dir: dir.to_owned(), error: Arc::new(error) }
        };
        let (starts, len) = self.write(blocks).map_err(failed("write to a file"))?;
        let map = map::written(&self.file, self.at, len).map_err(failed("map a file"))?;
        self.at += len as u64;
        Ok(Run { map, starts, space: Arc::clone(&self.space) })
    }

    fn write(&self, blocks: &[Block]) -> io::Result<(Vec<usize>, usize)> {
        let mut out = BufWriter::with_capacity(BUFFER, &self.file);
        let (mut starts, mut len) = (Vec::with_capacity(blocks.len()), 0);
        for block in blocks {
            starts.push(len);
            block.write_to(&mut out)?;
            let end = len + block.byte_len();
            len = end.next_multiple_of(BLOCK_ALIGN);
            out.write_all(&[0; BLOCK_ALIGN][..len - end])?;
        }
        out.flush()?;
        Ok((starts, len))
    }
}

/// Reserves disk space if the file system can; otherwise a full disk fails a write.
fn reserve(file: &File, bytes: u64) -> io::Result<()> {
    loop {
        match fallocate(file, FallocateFlags::empty(), 0, bytes) {
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;
    use crate::block::{BufferPool, DecodeError, HEADER_LEN};

    #[test]
    fn what_the_disk_has_changed_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let reserved = Arc::default();
        let mut segment = Segment::create(dir.path(), 1 << 20, &reserved, u64::MAX).unwrap();
        let blocks: Vec<Block> = ["one", "another", "a third"]
            .map(|text| {
                let mut buffer = BufferPool::new(0).take(text.len());
                buffer.bytes_mut().extend_from_slice(text.as_bytes());
                Block::raw(buffer)
            })
            .into();
        let run = segment.append(dir.path(), &blocks).unwrap();
        let opened = |n: usize| blocks[n].spilled(Arc::clone(&run.map), run.starts[n]).open();
        assert!((0..3).all(|n| opened(n).unwrap().raw_bytes() == blocks[n].raw_bytes()));
        let at = |n: usize| run.starts[n] as u64;
        segment.file.write_all_at(b"O", at(0) + HEADER_LEN as u64).unwrap();
        assert!(matches!(opened(0), Err(DecodeError::BodyChecksum { .. })));
        // A valid block, but another one.
        segment.file.write_all_at(&blocks[0].to_bytes(), at(2)).unwrap();
        assert!(matches!(opened(2), Err(DecodeError::Length { .. })));
        assert!(opened(1).is_ok());
        drop((segment, run));
        assert_eq!(reserved.load(Ordering::Relaxed), 0);
    }
}
