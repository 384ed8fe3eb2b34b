//! A block in memory or in a file.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Shared;
use super::segment::{Run, Space};
use crate::block::{Block, DecodeError, SpilledBlock};

/// A block in memory or in a file. Clones are the same block, which lives as long as one of them.
#[derive(Clone)]
pub struct KeptBlock(pub(super) Storage);

#[derive(Clone)]
pub(super) enum Storage {
    /// A block outside every store's account.
    Free(Block),
    Stored(Arc<Entry>),
}

impl KeptBlock {
    /// The block for reading: while it is held, it is neither unmapped nor freed. The first read of a
    /// spilled block goes to the disk, so call it from tasks.
    ///
    /// # Errors
    /// When the file does not hold what was written.
    pub fn get(&self) -> Result<Block, DecodeError> {
        match &self.0 {
            Storage::Free(block) => Ok(block.clone()),
            Storage::Stored(entry) => entry.get(),
        }
    }

    /// Its length in bytes, header included.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        match &self.0 {
            Storage::Free(block) => block.byte_len(),
            Storage::Stored(entry) => entry.byte_len(),
        }
    }

    /// The block, if it needs no read.
    #[must_use]
    pub fn in_memory(&self) -> Option<Block> {
        match &self.0 {
            Storage::Free(block) => Some(block.clone()),
            Storage::Stored(entry) => entry.in_memory(),
        }
    }
}

impl From<Block> for KeptBlock {
    /// A block outside every store's account.
    fn from(block: Block) -> Self {
        Self(Storage::Free(block))
    }
}

impl fmt::Debug for KeptBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Storage::Free(block) => block.fmt(f),
            Storage::Stored(entry) => match &*entry.location() {
                Location::Memory(block) => block.fmt(f),
                Location::File(file) => {
                    write!(f, "Block({} bytes in a file)", file.spilled.byte_len())
                }
            },
        }
    }
}

/// A block in a store's account.
pub(super) struct Entry {
    location: Mutex<Location>,
    /// Bytes of memory that it uses, or used before it was spilled.
    pub(super) memory: u64,
    /// Stamp of the last use.
    used: AtomicU64,
    shared: Arc<Shared>,
}

enum Location {
    Memory(Block),
    File(InFile),
}

struct InFile {
    spilled: SpilledBlock,
    /// The block, once read back.
    opened: Option<Block>,
    /// Holds the disk space as long as the block lives.
    _space: Arc<Space>,
}

impl Entry {
    pub(super) fn new(block: Block, used: u64, shared: &Arc<Shared>) -> Self {
        Self {
            memory: block.memory() as u64,
            location: Mutex::new(Location::Memory(block)),
            used: AtomicU64::new(used),
            shared: Arc::clone(shared),
        }
    }

    fn location(&self) -> MutexGuard<'_, Location> {
        // Code under this lock cannot panic half-way.
        self.location.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// The block, if it is in memory.
    pub(super) fn in_memory(&self) -> Option<Block> {
        match &*self.location() {
            Location::Memory(block) => Some(block.clone()),
            Location::File(_) => None,
        }
    }

    fn byte_len(&self) -> usize {
        match &*self.location() {
            Location::Memory(block) => block.byte_len(),
            Location::File(file) => file.spilled.byte_len(),
        }
    }

    fn get(&self) -> Result<Block, DecodeError> {
        self.used.store(self.shared.stamp(), Ordering::Relaxed);
        let spilled = match &*self.location() {
            Location::Memory(block) | Location::File(InFile { opened: Some(block), .. }) => {
                return Ok(block.clone());
            }
            Location::File(file) => file.spilled.clone(),
        };
        // Read outside the lock, as it waits for the disk. Two readers may both do it.
        let block = spilled.open()?;
        if let Location::File(InFile { opened: opened @ None, .. }) = &mut *self.location() {
            *opened = Some(block.clone());
            self.shared.counts.reads.fetch_add(1, Ordering::Relaxed);
        }
        Ok(block)
    }

    /// Switches to the file: the memory is free once no task reads it.
    pub(super) fn spilled(&self, block: &Block, run: &Run, start: usize) {
        let spilled = block.spilled(Arc::clone(&run.map), start);
        let counts = &self.shared.counts;
        counts.spilled.fetch_add(spilled.byte_len() as u64, Ordering::Relaxed);
        counts.spills.fetch_add(1, Ordering::Relaxed);
        counts.memory.fetch_sub(self.memory, Ordering::Relaxed);
        let file = InFile { spilled, opened: None, _space: Arc::clone(&run.space) };
        *self.location() = Location::File(file);
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let counts = &self.shared.counts;
        match self.location.get_mut().unwrap_or_else(PoisonError::into_inner) {
            Location::Memory(_) => counts.memory.fetch_sub(self.memory, Ordering::Relaxed),
            Location::File(file) => {
                counts.spilled.fetch_sub(file.spilled.byte_len() as u64, Ordering::Relaxed)
            }
        };
    }
}
