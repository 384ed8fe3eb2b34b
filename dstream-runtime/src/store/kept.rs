//! A block that is kept, wherever its bytes are.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Shared;
use super::segment::{Run, Space};
use crate::block::{Block, DoorError, Moved};

/// A block in memory or in a file; a clone is the same block. It is there as long as a clone is.
#[derive(Clone)]
pub struct KeptBlock(pub(super) Held);

#[derive(Clone)]
pub(super) enum Held {
    /// A block that no store has on its account.
    Free(Block),
    Stored(Arc<Entry>),
}

impl KeptBlock {
    /// The block, to be read: as long as its reader has it, it is not unmapped, and the memory is not
    /// freed. The first reader of a block that went to a file reads it from there, so this is done by
    /// tasks.
    ///
    /// # Errors
    /// When the file does not have what was written to it.
    pub fn get(&self) -> Result<Block, DoorError> {
        match &self.0 {
            Held::Free(block) => Ok(block.clone()),
            Held::Stored(entry) => entry.get(),
        }
    }

    /// Its length in bytes, header included, wherever they are.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        match &self.0 {
            Held::Free(block) => block.byte_len(),
            Held::Stored(entry) => entry.byte_len(),
        }
    }

    /// The block, if nothing has to be read for it.
    #[must_use]
    pub fn in_memory(&self) -> Option<Block> {
        match &self.0 {
            Held::Free(block) => Some(block.clone()),
            Held::Stored(entry) => entry.in_memory(),
        }
    }
}

impl From<Block> for KeptBlock {
    /// A block that no store knows: its memory is on nobody's account.
    fn from(block: Block) -> Self {
        Self(Held::Free(block))
    }
}

impl fmt::Debug for KeptBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Held::Free(block) => block.fmt(f),
            Held::Stored(entry) => match &*entry.place() {
                Place::Memory(block) => block.fmt(f),
                Place::File(file) => write!(f, "Block({} bytes in a file)", file.moved.byte_len()),
            },
        }
    }
}

/// A block on the account of a store.
pub(super) struct Entry {
    place: Mutex<Place>,
    /// The memory it takes, or took before it went to a file.
    pub(super) memory: u64,
    /// When it was last used.
    used: AtomicU64,
    shared: Arc<Shared>,
}

enum Place {
    Memory(Block),
    File(InFile),
}

struct InFile {
    moved: Moved,
    /// The block again, once it was read.
    opened: Option<Block>,
    /// Not free as long as the block is there.
    _space: Arc<Space>,
}

impl Entry {
    pub(super) fn new(block: Block, used: u64, shared: &Arc<Shared>) -> Self {
        Self {
            memory: block.memory() as u64,
            place: Mutex::new(Place::Memory(block)),
            used: AtomicU64::new(used),
            shared: Arc::clone(shared),
        }
    }

    fn place(&self) -> MutexGuard<'_, Place> {
        // No code under the lock can panic half-way.
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// The block, if it is in memory.
    pub(super) fn in_memory(&self) -> Option<Block> {
        match &*self.place() {
            Place::Memory(block) => Some(block.clone()),
            Place::File(_) => None,
        }
    }

    fn byte_len(&self) -> usize {
        match &*self.place() {
            Place::Memory(block) => block.byte_len(),
            Place::File(file) => file.moved.byte_len(),
        }
    }

    fn get(&self) -> Result<Block, DoorError> {
        self.used.store(self.shared.stamp(), Ordering::Relaxed);
        let moved = match &*self.place() {
            Place::Memory(block) | Place::File(InFile { opened: Some(block), .. }) => {
                return Ok(block.clone());
            }
            Place::File(file) => file.moved.clone(),
        };
        // Outside the lock, as it waits for the disk. Two readers may both do it.
        let block = moved.open()?;
        if let Place::File(InFile { opened: opened @ None, .. }) = &mut *self.place() {
            *opened = Some(block.clone());
            self.shared.counts.reads.fetch_add(1, Ordering::Relaxed);
        }
        Ok(block)
    }

    /// Its bytes are in a file: the memory is free as soon as no task reads it.
    pub(super) fn moved(&self, block: &Block, run: &Run, start: usize) {
        let moved = block.moved(Arc::clone(&run.map), start);
        let counts = &self.shared.counts;
        counts.spilled.fetch_add(moved.byte_len() as u64, Ordering::Relaxed);
        counts.spills.fetch_add(1, Ordering::Relaxed);
        counts.memory.fetch_sub(self.memory, Ordering::Relaxed);
        let file = InFile { moved, opened: None, _space: Arc::clone(&run.space) };
        *self.place() = Place::File(file);
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let counts = &self.shared.counts;
        match self.place.get_mut().unwrap_or_else(PoisonError::into_inner) {
            Place::Memory(_) => counts.memory.fetch_sub(self.memory, Ordering::Relaxed),
            Place::File(file) => {
                counts.spilled.fetch_sub(file.moved.byte_len() as u64, Ordering::Relaxed)
            }
        };
    }
}
