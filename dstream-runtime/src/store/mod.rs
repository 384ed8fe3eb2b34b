//! Blocks of one process, within a bound of memory.
//!
//! A store keeps as many bytes of blocks in memory as it was told. What is above that goes to files,
//! what was not used for longest first, and is read from there through a map. It neither knows which
//! block is whose nor when it can go: [`BlockStore::keep`] gives a handle, and a block is gone with the
//! last of its handles, its space on the disk with the last block of a file.
//!
//! * What a task reads stays where it is as long as the task has it, whether the store still counts it
//!   or not: beside the bound there are the inputs of the tasks that run.
//! * Nothing is lost when the disk is full: blocks stay in memory, above the bound, and
//!   [`BlockStore::pressure`] says so until there is room again. Whoever begins new work asks first.
//! * Buffers kept to be used again and the tables of states are no blocks and not in the bound.
//! * Files hold nothing that must outlive the process, so nothing is synced. A disk that cannot read
//!   what it has written ends the process, as it does for every mapped file; a disk that reads
//!   something else is found out by the block's checksum.
//!
//! Invariant: the bytes on account are those of the blocks that have handles and are in memory.

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

use kept::{Entry, Held};
use lru::Lru;

/// How much a store may use.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// Bytes of blocks in memory.
    pub memory: u64,
    /// The directory of its files; made when the first is needed. Not one in memory (`tmpfs`).
    pub dir: PathBuf,
    /// Bytes of files.
    pub disk: u64,
    /// Bytes of one file: reserved at once, and free only when no block of it is left.
    pub segment: u64,
}

impl StoreOptions {
    /// Bytes of blocks in memory, where nobody says how many: enough for the batches in flight of most
    /// jobs, on most machines.
    pub const MEMORY: u64 = 2 << 30;

    /// The directory, where nobody names one: that for large temporary files, as `TMPDIR` or the
    /// file system's standard has it.
    #[must_use]
    pub fn dir() -> PathBuf {
        let dir = std::env::var_os("TMPDIR").filter(|dir| !dir.is_empty());
        dir.map_or_else(|| PathBuf::from("/var/tmp"), PathBuf::from)
    }

    /// So much memory, and as much disk as there is.
    #[must_use]
    pub fn new(memory: u64, dir: impl Into<PathBuf>) -> Self {
        Self { memory, dir: dir.into(), disk: u64::MAX, segment: 128 << 20 }
    }
}

/// Why a block could not be moved to a file; it is still in memory.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SpillError {
    /// The disk, or its file system, refused.
    #[error(
        "blocks do not fit into memory, and {} has no place for them: cannot {doing}: {error}; free \
         space there, or give the job more memory",
        .dir.display()
    )]
    Io {
        /// What it refused.
        doing: &'static str,
        /// The directory.
        dir: PathBuf,
        /// Why.
        error: Arc<io::Error>,
    },
    /// There is as much in files as there may be.
    #[error(
        "blocks fit neither into memory nor into the {limit} bytes of disk that they may take up"
    )]
    Limit {
        /// How many bytes there may be.
        limit: u64,
    },
    /// There is no thread to do it.
    #[error("blocks do not fit into memory, and there is no thread to move them to files: {error}")]
    Thread {
        /// Why.
        error: Arc<io::Error>,
    },
}

/// Whether a store has room.
#[derive(Debug, Clone)]
pub enum Pressure {
    /// Memory is within its bound.
    None,
    /// Blocks are being moved to files.
    Spilling,
    /// Memory is above its bound and blocks cannot be moved: begin no new work, until some are gone or
    /// the disk has room.
    Stuck(SpillError),
}

/// How much a store holds and has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Bytes of blocks in memory.
    pub memory: u64,
    /// Bytes of blocks in files.
    pub spilled: u64,
    /// Bytes of files.
    pub disk: u64,
    /// Blocks moved to files so far.
    pub spills: u64,
    /// Of those, how many were read from there.
    pub reads: u64,
}

/// Blocks within a bound of memory; a clone is the same store. See the [module](self).
#[derive(Clone)]
pub struct BlockStore(Arc<Owner>);

/// Ends the thread when the last clone goes.
struct Owner {
    shared: Arc<Shared>,
    spiller: Mutex<Option<JoinHandle<()>>>,
}

/// What handles and the thread have of a store.
struct Shared {
    options: StoreOptions,
    counts: Counts,
    /// Bytes of files.
    reserved: Arc<AtomicU64>,
    clock: AtomicU64,
    lru: Mutex<Lru<Weak<Entry>>>,
    control: Mutex<Control>,
    /// There may be work for the thread.
    work: Condvar,
    /// There may be room.
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
    /// A store that holds nothing.
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

    /// Keeps a block. Never waits. A block that is kept, or lies in a file, is not counted again.
    #[must_use = "a block is gone with the last of its handles"]
    pub fn keep(&self, block: impl Into<KeptBlock>) -> KeptBlock {
        match block.into().0 {
            Held::Free(block) if block.memory() > 0 => {
                let shared = &self.0.shared;
                let entry = Arc::new(Entry::new(block, shared.stamp(), shared));
                let before = shared.counts.memory.fetch_add(entry.memory, Ordering::Relaxed);
                shared.queue(&entry);
                if before + entry.memory > shared.options.memory {
                    self.ask();
                }
                KeptBlock(Held::Stored(entry))
            }
            other => KeptBlock(other),
        }
    }

    /// Waits until memory is within its bound, or nothing can be done about it. Who is about to make
    /// blocks, and may wait, calls this: then what is above the bound is at most what was under way.
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

    /// Whether there is room.
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

    /// How much it holds and has done.
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

    /// Bytes of blocks that it may hold in memory.
    #[must_use]
    pub fn limit(&self) -> u64 {
        self.0.shared.options.memory
    }

    /// Wakes the thread that moves blocks, or starts it.
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
        // The thread looks at the memory under this lock before it sleeps.
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
            // A thread that panicked has nothing left to be waited for.
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

    /// A new stamp: every one is used once.
    fn stamp(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::Relaxed)
    }

    fn control(&self) -> MutexGuard<'_, Control> {
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_lru(&self) -> MutexGuard<'_, Lru<Weak<Entry>>> {
        self.lru.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a block be chosen.
    fn queue(&self, entry: &Arc<Entry>) {
        let lives = |entry: &Weak<Entry>| entry.strong_count() > 0;
        self.lock_lru().insert(entry.used(), Arc::downgrade(entry), lives);
    }

    /// Waits until there is too much in memory; false once the store is closed.
    fn wait_for_work(&self) -> bool {
        let mut control = self.control();
        while !control.closed && !self.over() {
            control = self.work.wait(control).unwrap_or_else(PoisonError::into_inner);
        }
        !control.closed
    }

    /// Waits so long, whatever is asked meanwhile; false once the store is closed.
    fn sleep(&self, so_long: Duration) -> bool {
        let open = |control: &mut Control| !control.closed;
        let slept = self.work.wait_timeout_while(self.control(), so_long, open);
        !slept.unwrap_or_else(PoisonError::into_inner).0.closed
    }

    /// Tells whoever waits for room how it went.
    fn tell(&self, stuck: Option<SpillError>) {
        self.control().stuck = stuck;
        self.room.notify_all();
    }
}
