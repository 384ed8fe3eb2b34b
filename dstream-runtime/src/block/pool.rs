//! Reused aligned buffers: filling a fresh page costs fifteen times as much as a warm one.
//!
//! The pool keeps at most `limit` bytes and frees the rest. It never waits and never fails: without a
//! fitting buffer it allocates.

use std::sync::{Arc, Mutex, PoisonError};

use rkyv::util::AlignedVec;

use crate::record::BLOCK_ALIGN;

/// Smaller buffers are cheaper to allocate than to keep.
const SMALLEST: usize = 1 << 10;
/// Size classes: capacities from 2^i up to 2^(i+1).
const CLASSES: usize = 27;
/// Larger size classes tried: more would hide large buffers in small blocks.
const LOOK_AHEAD: usize = 2;

type Aligned = AlignedVec<BLOCK_ALIGN>;

/// A bounded store of used buffers; clones share it.
#[derive(Clone)]
pub struct BufferPool(Arc<Shelves>);

struct Shelves {
    limit: usize,
    kept: Mutex<Kept>,
}

struct Kept {
    bytes: usize,
    classes: [Vec<Aligned>; CLASSES],
    columns: Vec<Columns>,
}

/// Columns of keyed rows that grow beside the values. They are no part of the finished block, so they are
/// reused at once.
#[derive(Default)]
pub(super) struct Columns {
    pub(super) ends: Vec<u32>,
    pub(super) keys: Vec<u8>,
    pub(super) hashes: Vec<u64>,
}

impl Columns {
    /// Their size in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.ends.len() * size_of::<u32>() + self.keys.len() + self.hashes.len() * size_of::<u64>()
    }

    fn capacity(&self) -> usize {
        self.ends.capacity() * size_of::<u32>()
            + self.keys.capacity()
            + self.hashes.capacity() * size_of::<u64>()
    }
}

/// An aligned buffer that returns to its pool when dropped.
pub struct Buffer {
    bytes: Aligned,
    pool: Option<BufferPool>,
}

fn class_of(capacity: usize) -> usize {
    (capacity.max(1).ilog2() as usize).min(CLASSES - 1)
}

impl BufferPool {
    /// A pool that keeps at most `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        let kept = Mutex::new(Kept {
            bytes: 0,
            classes: [const { Vec::new() }; CLASSES],
            columns: Vec::new(),
        });
        Self(Arc::new(Shelves { limit, kept }))
    }

    /// An empty buffer with room for at least `capacity` bytes. A fresh one gets the smallest capacity of
    /// its size class, so that the same request finds it again; its unwritten pages cost nothing.
    #[must_use]
    pub fn take(&self, capacity: usize) -> Buffer {
        let room = if capacity < SMALLEST { capacity } else { capacity.next_power_of_two() };
        let bytes = self.find(capacity).unwrap_or_else(|| Aligned::with_capacity(room));
        Buffer { bytes, pool: Some(self.clone()) }
    }

    /// Bytes kept now.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.lock().bytes
    }

    fn find(&self, capacity: usize) -> Option<Aligned> {
        if capacity < SMALLEST {
            return None;
        }
        // Every buffer of the class above is large enough, so none is inspected.
        let first = class_of(capacity.next_power_of_two());
        let mut kept = self.lock();
        let last = (first + LOOK_AHEAD).min(CLASSES - 1);
        let bytes = (first..=last).find_map(|class| kept.classes[class].pop())?;
        kept.bytes -= bytes.capacity();
        // The last class is open-ended only below 2^CLASSES: free a buffer that is too small.
        (bytes.capacity() >= capacity).then_some(bytes)
    }

    fn give(&self, mut bytes: Aligned) {
        let capacity = bytes.capacity();
        if capacity < SMALLEST {
            return;
        }
        bytes.clear();
        let mut kept = self.lock();
        if kept.bytes + capacity <= self.0.limit {
            kept.bytes += capacity;
            kept.classes[class_of(capacity)].push(bytes);
        }
    }

    /// Empty columns.
    pub(super) fn take_columns(&self) -> Columns {
        let mut kept = self.lock();
        let columns = kept.columns.pop().unwrap_or_default();
        kept.bytes -= columns.capacity();
        columns
    }

    /// Returns columns to the pool.
    pub(super) fn give_columns(&self, mut columns: Columns) {
        columns.ends.clear();
        columns.keys.clear();
        columns.hashes.clear();
        let capacity = columns.capacity();
        let mut kept = self.lock();
        if capacity > 0 && kept.bytes + capacity <= self.0.limit {
            kept.bytes += capacity;
            kept.columns.push(columns);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        // Code under this lock cannot leave the counts inconsistent.
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for BufferPool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "BufferPool({} of {} bytes)", self.kept(), self.0.limit)
    }
}

impl Buffer {
    /// A buffer without a pool.
    #[must_use]
    pub fn unpooled(bytes: AlignedVec<BLOCK_ALIGN>) -> Self {
        Self { bytes, pool: None }
    }

    /// The bytes to write to.
    pub fn bytes_mut(&mut self) -> &mut AlignedVec<BLOCK_ALIGN> {
        &mut self.bytes
    }

    /// The bytes written.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        self.bytes.as_slice()
    }

    /// Its capacity in bytes.
    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Exchanges a buffer that is less than half full for a fitting one, so that small blocks do not hold
    /// large buffers.
    pub(super) fn fitted(self) -> Self {
        let len = self.bytes.len();
        if self.bytes.capacity() <= SMALLEST || len > self.bytes.capacity() / 2 {
            return self;
        }
        let mut fitting = match &self.pool {
            Some(pool) => pool.take(len),
            None => Self::unpooled(Aligned::with_capacity(len)),
        };
        fitting.bytes.extend_from_slice(&self.bytes);
        fitting
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(pool) = &self.pool {
            pool.give(std::mem::take(&mut self.bytes));
        }
    }
}

impl std::fmt::Debug for Buffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Buffer({} of {} bytes)", self.bytes.len(), self.bytes.capacity())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_come_back() {
        let pool = BufferPool::new(1 << 20);
        let mut buffer = pool.take(5000);
        buffer.bytes_mut().extend_from_slice(b"old");
        let at = buffer.as_slice().as_ptr();
        drop(buffer);
        assert!(pool.kept() >= 5000);
        let again = pool.take(4096);
        assert_eq!((again.as_slice().as_ptr(), again.as_slice().len()), (at, 0));
        assert_eq!(pool.kept(), 0);
    }

    #[test]
    fn a_buffer_is_found_again_for_as_much_as_it_was_made_for() {
        let pool = BufferPool::new(10 << 20);
        for capacity in [1 << 10, 1025, 5000, 100_000, 1 << 20, (1 << 20) + 1] {
            drop(pool.take(capacity));
            let kept = pool.kept();
            assert!(kept >= capacity);
            let again = pool.take(capacity);
            assert!(pool.kept() < kept, "{capacity}");
            drop(again);
        }
    }

    #[test]
    fn the_limit_holds_and_nothing_too_small_is_handed_out() {
        let pool = BufferPool::new(10_000);
        let many: Vec<_> = (0..8).map(|_| pool.take(3000)).collect();
        drop(many);
        assert!(pool.kept() <= 10_000 && pool.kept() >= 3000);
        assert!(pool.take(3500).bytes_mut().capacity() >= 3500);
        drop(pool.take(100_000));
        assert!(pool.kept() <= 10_000);
    }

    #[test]
    fn columns_come_back_empty_within_the_limit() {
        let pool = BufferPool::new(1000);
        let mut columns = pool.take_columns();
        columns.keys.extend_from_slice(b"key");
        columns.hashes.reserve_exact(50);
        pool.give_columns(columns);
        assert!((400..1000).contains(&pool.kept()));
        let again = pool.take_columns();
        assert!(again.keys.is_empty() && again.hashes.capacity() >= 50);
        assert_eq!(pool.kept(), 0);
        pool.give_columns(Columns { hashes: Vec::with_capacity(1000), ..again });
        assert_eq!(pool.kept(), 0);
    }

    #[test]
    fn a_large_buffer_is_not_hidden_in_a_small_block() {
        let pool = BufferPool::new(10 << 20);
        let mut large = pool.take(1 << 20);
        large.bytes_mut().extend_from_slice(b"few");
        let fitted = large.fitted();
        assert_eq!(fitted.as_slice(), b"few");
        assert!(pool.kept() >= 1 << 20);
    }
}
