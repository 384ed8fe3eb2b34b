//! The blocks of a process, within a bound of memory.
//!
//! A store keeps at most `memory` bytes of blocks in memory. Excess blocks spill to files, least recently
//! used first, and are read back through a map. The store does not know the owners of blocks:
//! [`BlockStore::keep`] returns a handle, a block lives as long as its handles, and disk space is freed with
//! the last block of a file.
//!
//! * A block that a task reads stays in memory while the task holds it, counted or not: the inputs of
//!   running tasks come on top of the bound.
//! * A full disk loses nothing: blocks stay in memory, above the bound, and [`BlockStore::pressure`] reports
//!   it until there is room. Check it before new work.
//! * Pooled buffers and state tables are not counted.
//! * Files need not outlive the process, so nothing is synced. A read error of a mapped file ends the
//!   process; changed bytes are detected by the block's checksum.
//!
//! Invariant: the bytes in the account are those of blocks that have handles and are in memory.

mod kept;
mod lru;
mod map;
mod segment;
mod spill;
#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

pub use kept::KeptBlock;

use kept::{Entry, Storage};
use lru::Lru;

/// The limits of a store.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// Bytes of blocks in memory, at most.
    pub memory: u64,
    /// Directory of its files, created when first needed. Not in memory (`tmpfs`).
    pub dir: PathBuf,
    /// Bytes of files, at most.
    pub disk: u64,
    /// Bytes of one file: reserved at once, and freed with its last block.
    pub segment: u64,
}

impl StoreOptions {
    /// Default bytes of blocks in memory: enough for the batches in flight of most jobs, on most machines.
    pub const MEMORY: u64 = 2 << 30;

    /// The default directory: that for large temporary files (`TMPDIR` or the system's).
    #[must_use]
    pub fn dir() -> PathBuf {
        let dir = std::env::var_os("TMPDIR").filter(|dir| !dir.is_empty());
        dir.map_or_else(|| PathBuf::from("/var/tmp"), PathBuf::from)
    }

    /// Limits the memory, but not the disk.
    #[must_use]
    pub fn new(memory: u64, dir: impl Into<PathBuf>) -> Self {
        Self { memory, dir: dir.into(), disk: u64::MAX, segment: 128 << 20 }
    }
}

/// Why a block could not be spilled; it is still in memory.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SpillError {
    /// The file system failed.
    #[error(
        "blocks do not fit into memory, and {} has no place for them: cannot {doing}: {error}; free \
         space there, or give the job more memory",
        .dir.display()
    )]
    Io {
        /// The failed operation.
        doing: &'static str,
        /// The directory.
        dir: PathBuf,
        /// Why.
        error: Arc<io::Error>,
    },
    /// The limit of files is reached.
    #[error("blocks fit neither into memory nor into the {limit} bytes of disk allowed for them")]
    Limit {
        /// The limit in bytes.
        limit: u64,
    },
    /// The spilling thread cannot be started.
    #[error("blocks do not fit into memory, and there is no thread to move them to files: {error}")]
    Thread {
        /// Why.
        error: Arc<io::Error>,
    },
}

/// The state of a store's memory.
#[derive(Debug, Clone)]
pub enum Pressure {
    /// Within the bound.
    None,
    /// Blocks are being spilled.
    Spilling,
    /// Above the bound, and blocks cannot be spilled: begin no new work until blocks are dropped or the disk
    /// has room.
    Stuck(SpillError),
}

/// Counters of a store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Bytes of blocks in memory.
    pub memory: u64,
    /// Bytes of blocks in files.
    pub spilled: u64,
    /// Bytes of files.
    pub disk: u64,
    /// Blocks spilled so far.
    pub spills: u64,
    /// Spilled blocks read back.
    pub reads: u64,
}

/// A bounded store of blocks; clones share it. See the [module](self).
#[derive(Clone)]
pub struct BlockStore(Arc<Owner>);

/// Ends the thread with the last clone.
struct Owner {
    shared: Arc<Shared>,
    spiller: Mutex<Option<JoinHandle<()>>>,
}

/// State shared by handles and the thread.
struct Shared {
    options: StoreOptions,
    counts: Counts,
    /// Bytes of files.
    reserved: Arc<AtomicU64>,
    clock: AtomicU64,
    lru: Mutex<Lru<Weak<Entry>>>,
    control: Mutex<Control>,
    /// Notified when the thread may have work.
    work: Condvar,
    /// Notified when there may be room.
    room: Condvar,
}

#[derive(Default)]
struct Counts {
    memory: AtomicU64,
    spilled: AtomicU64,
    spills: AtomicU64,
    reads: AtomicU64,
}

#[derive(Default)]
struct Control {
    closed: bool,
    stuck: Option<SpillError>,
}

impl BlockStore {
    /// An empty store.
    #[must_use]
    pub fn new(options: StoreOptions) -> Self {
        let shared = Shared {
            options,
            counts: Counts::default(),
            reserved: Arc::default(),
            clock: AtomicU64::new(0),
            lru: Mutex::new(Lru::new()),
            control: Mutex::default(),
            work: Condvar::new(),
            room: Condvar::new(),
        };
        Self(Arc::new(Owner { shared: Arc::new(shared), spiller: Mutex::new(None) }))
    }

    /// Keeps a block, without waiting. A block already kept is not counted again.
    #[must_use = "a block is gone with the last of its handles"]
    pub fn keep(&self, block: impl Into<KeptBlock>) -> KeptBlock {
        match block.into().0 {
            Storage::Free(block) if block.memory() > 0 => {
                let shared = &self.0.shared;
                let entry = Arc::new(Entry::new(block, shared.stamp(), shared));
                let before = shared.counts.memory.fetch_add(entry.memory, Ordering::Relaxed);
                shared.queue(&entry);
                if before + entry.memory > shared.options.memory {
                    self.ask();
                }
                KeptBlock(Storage::Stored(entry))
            }
            other => KeptBlock(other),
        }
    }

    /// Waits until memory is within the bound or spilling is stuck. Call it before making blocks where
    /// waiting is allowed: the excess is then at most what was in progress.
    pub fn make_room(&self) {
        let shared = &self.0.shared;
        if !shared.over() {
            return;
        }
        self.ask();
        let mut control = shared.control();
        while shared.over() && control.stuck.is_none() && !control.closed {
            control = shared.room.wait(control).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The state of its memory.
    #[must_use]
    pub fn pressure(&self) -> Pressure {
        let shared = &self.0.shared;
        if !shared.over() {
            return Pressure::None;
        }
        match &shared.control().stuck {
            Some(error) => Pressure::Stuck(error.clone()),
            None => Pressure::Spilling,
        }
    }

    /// Its counters.
    #[must_use]
    pub fn stats(&self) -> StoreStats {
        let Shared { counts, reserved, .. } = &*self.0.shared;
        let value = |count: &AtomicU64| count.load(Ordering::Relaxed);
        StoreStats {
            memory: value(&counts.memory),
            spilled: value(&counts.spilled),
            disk: value(reserved),
            spills: value(&counts.spills),
            reads: value(&counts.reads),
        }
    }

    /// The bound of memory, in bytes.
    #[must_use]
    pub fn limit(&self) -> u64 {
        self.0.shared.options.memory
    }

    /// Wakes or starts the spilling thread.
    #[cold]
    fn ask(&self) {
        let Owner { shared, spiller } = &*self.0;
        let mut spiller = spiller.lock().unwrap_or_else(PoisonError::into_inner);
        if spiller.is_none() {
            let thread = std::thread::Builder::new().name("dstream-spill".into());
            let shared = Arc::clone(shared);
            let serves = Arc::clone(&shared);
            match thread.spawn(move || spill::serve(&serves)) {
                Ok(thread) => *spiller = Some(thread),
                Err(error) => {
                    return shared.tell(Some(SpillError::Thread { error: Arc::new(error) }));
                }
            }
        }
        drop(spiller);
        // The thread checks the memory under this lock before it sleeps.
        drop(shared.control());
        shared.work.notify_one();
    }
}

impl std::fmt::Debug for BlockStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.stats().fmt(f)
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.shared.control().closed = true;
        self.shared.work.notify_all();
        self.shared.room.notify_all();
        let spiller = self.spiller.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = spiller.take() {
            // A panicked thread needs no wait.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn memory(&self) -> u64 {
        self.counts.memory.load(Ordering::Relaxed)
    }

    fn over(&self) -> bool {
        self.memory() > self.options.memory
    }

    /// Returns a new, unique stamp.
    fn stamp(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::Relaxed)
    }

    fn control(&self) -> MutexGuard<'_, Control> {
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_lru(&self) -> MutexGuard<'_, Lru<Weak<Entry>>> {
        self.lru.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a block eligible for spilling.
    fn queue(&self, entry: &Arc<Entry>) {
        let lives = |entry: &Weak<Entry>| entry.strong_count() > 0;
        self.lock_lru().insert(entry.used(), Arc::downgrade(entry), lives);
    }

    /// Waits for excess memory; returns `false` once the store is closed.
    fn wait_for_work(&self) -> bool {
        let mut control = self.control();
        while !control.closed && !self.over() {
            // Blocks that were dropped have made room too, and nothing else tells those that wait for it.
            self.room.notify_all();
            control = self.work.wait(control).unwrap_or_else(PoisonError::into_inner);
        }
        !control.closed
    }

    /// Sleeps for a fixed time; returns `false` once the store is closed.
    fn sleep(&self, so_long: Duration) -> bool {
        let open = |control: &mut Control| !control.closed;
        let slept = self.work.wait_timeout_while(self.control(), so_long, open);
        !slept.unwrap_or_else(PoisonError::into_inner).0.closed
    }

    /// Reports the outcome to those that wait for room.
    fn tell(&self, stuck: Option<SpillError>) {
        self.control().stuck = stuck;
        self.room.notify_all();
    }
}
