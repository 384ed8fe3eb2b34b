//! Segments: files that blocks are appended to.
//!
//! A segment has no name, from before its first byte: whatever becomes of the process, its space is
//! free when the process and its maps are gone, and there is nothing to sweep. It is reserved whole
//! when it is made, so that a full disk is an error then and there; it is never changed behind the
//! writer and never made shorter. Its space is free when the writer has left it and no block of it is left.

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

/// How much is written at once of small blocks.
const BUFFER: usize = 256 << 10;

/// A file that blocks are appended to.
pub(super) struct Segment {
    file: File,
    at: u64,
    space: Arc<Space>,
}

/// Space on the disk, as long as somebody holds it.
pub(super) struct Space {
    bytes: u64,
    reserved: Arc<AtomicU64>,
}

impl Space {
    /// Takes space, if there is so much left below the limit.
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

/// Blocks that were written: the map of all of them, and where each begins.
pub(super) struct Run {
    pub(super) map: Arc<Mmap>,
    pub(super) starts: Vec<usize>,
    pub(super) space: Arc<Space>,
}

/// What a block takes up in a segment.
pub(super) fn room_for(block: &Block) -> u64 {
    block.byte_len().next_multiple_of(BLOCK_ALIGN) as u64
}

impl Segment {
    /// Makes a segment of that many bytes in a directory, which is made if it is not there.
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

    /// How many bytes are left.
    pub(super) fn room(&self) -> u64 {
        self.space.bytes - self.at
    }

    /// Appends blocks, for which there must be room. After an error the segment must not be used again.
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

/// Reserves space, where the file system can; where it cannot, a full disk is an error of the write.
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
    use crate::block::{BufferPool, DoorError, HEADER_LEN};

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
        let opened = |n: usize| blocks[n].moved(Arc::clone(&run.map), run.starts[n]).open();
        assert!((0..3).all(|n| opened(n).unwrap().raw_bytes() == blocks[n].raw_bytes()));
        let at = |n: usize| run.starts[n] as u64;
        segment.file.write_all_at(b"O", at(0) + HEADER_LEN as u64).unwrap();
        assert!(matches!(opened(0), Err(DoorError::BodyChecksum { .. })));
        // A whole and undamaged block, but not this one.
        segment.file.write_all_at(&blocks[0].to_bytes(), at(2)).unwrap();
        assert!(matches!(opened(2), Err(DoorError::Length { .. })));
        assert!(opened(1).is_ok());
        drop((segment, run));
        assert_eq!(reserved.load(Ordering::Relaxed), 0);
    }
}
