//! Tables from keys to values: what keyed collectors and state are made of.
//!
//! A [`KeyTable`] decides where the bytes of a key and its value lie in memory. It never hashes
//! what it is given a hash for, never draws a seed, and never shows anything in another order than
//! that of insertion: the same operations give the same table, byte for byte, everywhere.
//!
//! Entries are dense, in the order of insertion, which puts the frequent keys of a skewed stream,
//! as they come early, side by side. Keys of up to 16 bytes lie in their entry, longer ones in one
//! arena. An index of 4-byte slots finds the entry of a hash. [`Gather`] brings keys in
//! groups, which is the fast way in: measured on words of a Zipf distribution over 100,000 (see
//! `kernels` in `benches`), one by one is 1.8 times as fast as a `hashbrown` table, gathered 2.8.
//!
//! Invariants: exactly the live entries are in the index; removed ones are at most as many as the
//! live ones, up to a constant.

mod gather;
mod hash;
mod index;
mod pack;
mod prefetch;
mod rows;
mod shrink;
mod stored;

#[cfg(test)]
mod tests;

use std::fmt;

pub use gather::Gather;
pub use hash::{hash_key, partition_of};

use hash::{INLINE, class_of, class_of_len};
use index::{Index, Probe};
use pack::{Packed, pack};
use stored::StoredKey;

/// Removed entries that are not worth a compaction.
const MIN_REMOVED: usize = 32;

const LIVE: &str = "invariant: entries in use are live";

/// A table from the canonical bytes of keys to values, in order of insertion.
///
/// Wherever it takes a key and a hash, the hash must be that of the key by [`hash_key`].
#[derive(Clone)]
pub struct KeyTable<V> {
    index: Index,
    /// In order of insertion; nothing where one was removed.
    entries: Vec<Option<Entry<V>>>,
    /// The bytes of long keys.
    arena: Vec<u8>,
    live: usize,
}

#[derive(Clone)]
struct Entry<V> {
    key: StoredKey,
    value: V,
}

impl<V> Default for KeyTable<V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<V> fmt::Debug for KeyTable<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyTable").field("len", &self.live).finish_non_exhaustive()
    }
}

impl<V> KeyTable<V> {
    /// An empty table, which takes no memory yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { index: Index::new(), entries: Vec::new(), arena: Vec::new(), live: 0 }
    }

    /// An empty table with room for `keys` keys.
    #[must_use]
    pub fn with_capacity(keys: usize) -> Self {
        let mut table = Self::new();
        table.reserve(keys);
        table.entries.reserve(keys);
        table
    }

    /// Number of keys.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.live
    }

    /// The numbers of entries are below this; some of them may be removed.
    #[inline]
    #[must_use]
    pub fn slots(&self) -> u32 {
        self.entries.len() as u32
    }

    /// Whether there is an entry of that number.
    #[inline]
    #[must_use]
    pub fn is_live(&self, entry: u32) -> bool {
        matches!(self.entries.get(entry as usize), Some(Some(_)))
    }

    /// Whether there is no key.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// The entry of a key.
    #[inline]
    #[must_use]
    pub fn find(&self, key: &[u8], hash: u64) -> Option<u32> {
        if self.is_empty() {
            return None;
        }
        match self.probe(key, hash) {
            Probe::Found(entry) => Some(entry),
            Probe::Free(_) => None,
        }
    }

    /// Updates the value of a key, or inserts the first. Gives the entry and whether it is new.
    #[inline]
    pub fn upsert(
        &mut self,
        key: &[u8],
        hash: u64,
        init: impl FnOnce() -> V,
        update: impl FnOnce(&mut V),
    ) -> (u32, bool) {
        self.upsert_with(key, hash, (), |()| init(), |value, ()| update(value))
    }

    /// [`upsert`](Self::upsert) with one argument for whichever closure is called.
    #[inline]
    pub fn upsert_with<X>(
        &mut self,
        key: &[u8],
        hash: u64,
        x: X,
        init: impl FnOnce(X) -> V,
        update: impl FnOnce(&mut V, X),
    ) -> (u32, bool) {
        self.reserve(1);
        match self.probe(key, hash) {
            Probe::Found(entry) => {
                self.update_at(entry, x, update);
                (entry, false)
            }
            Probe::Free(free) => {
                let value = init(x);
                let key = StoredKey::new(key, hash, &mut self.arena);
                (self.insert_at(free, key, value), true)
            }
        }
    }

    /// [`upsert_with`](Self::upsert_with) of a short key, with a slot reserved.
    #[inline]
    fn upsert_packed<X>(
        &mut self,
        key: Packed,
        hash: u64,
        x: X,
        init: impl FnOnce(X) -> V,
        update: impl FnOnce(&mut V, X),
    ) {
        match self.probe_packed(key, hash) {
            Probe::Found(entry) => self.update_at(entry, x, update),
            Probe::Free(free) => {
                let value = init(x);
                self.insert_at(free, StoredKey::short(key, hash), value);
            }
        }
    }

    /// The key of an entry.
    ///
    /// # Panics
    /// When there is no entry of that number, or it was removed.
    #[inline]
    #[must_use]
    pub fn key(&self, entry: u32) -> &[u8] {
        self.entry(entry).key.bytes(&self.arena)
    }

    /// The hash of an entry's key.
    ///
    /// # Panics
    /// When there is no entry of that number, or it was removed.
    #[inline]
    #[must_use]
    pub fn hash(&self, entry: u32) -> u64 {
        self.entry(entry).key.hash()
    }

    /// The value of an entry.
    ///
    /// # Panics
    /// When there is no entry of that number, or it was removed.
    #[inline]
    #[must_use]
    pub fn value(&self, entry: u32) -> &V {
        &self.entry(entry).value
    }

    /// The value of an entry, to be changed.
    ///
    /// # Panics
    /// When there is no entry of that number, or it was removed.
    #[inline]
    #[must_use]
    pub fn value_mut(&mut self, entry: u32) -> &mut V {
        &mut self.entries[entry as usize].as_mut().expect(LIVE).value
    }

    /// Keys, their hashes and their values in order of insertion.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], u64, &V)> {
        self.entries
            .iter()
            .flatten()
            .map(|entry| (entry.key.bytes(&self.arena), entry.key.hash(), &entry.value))
    }

    /// The memory it holds, in bytes, without what values own elsewhere.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.index.memory()
            + self.entries.capacity() * size_of::<Option<Entry<V>>>()
            + self.arena.capacity()
    }

    fn entry(&self, entry: u32) -> &Entry<V> {
        self.entries[entry as usize].as_ref().expect(LIVE)
    }

    /// Makes sure that `more` more keys find a slot.
    #[inline(always)]
    fn reserve(&mut self, more: usize) {
        if self.entries.len() + more > self.index.room() {
            self.grow(self.entries.len() + more);
        }
    }

    #[cold]
    fn grow(&mut self, keys: usize) {
        self.index.reset(keys);
        self.index_all();
    }

    /// Fills an empty index.
    fn index_all(&mut self) {
        for (number, entry) in (0..).zip(&self.entries) {
            if let Some(entry) = entry {
                self.index.insert(entry.key.hash(), number);
            }
        }
    }

    /// The entry of a key, or the slot where it would go. There must be slots.
    #[inline(always)]
    fn probe(&self, key: &[u8], hash: u64) -> Probe {
        debug_assert_eq!(class_of(hash), class_of_len(key.len()), "a hash not of `hash_key`");
        if key.len() <= INLINE {
            return self.probe_packed(pack(key), hash);
        }
        self.index.probe(hash, |entry| {
            let entry = &self.entries[entry as usize];
            entry.as_ref().is_some_and(|entry| entry.key.is_long(key, hash, &self.arena))
        })
    }

    #[inline(always)]
    fn probe_packed(&self, key: Packed, hash: u64) -> Probe {
        self.index.probe(hash, |entry| {
            let entry = &self.entries[entry as usize];
            entry.as_ref().is_some_and(|entry| entry.key.is(key, hash))
        })
    }

    #[inline(always)]
    fn update_at<X>(&mut self, entry: u32, x: X, update: impl FnOnce(&mut V, X)) {
        if let Some(entry) = &mut self.entries[entry as usize] {
            update(&mut entry.value, x);
        }
    }

    /// Adds an entry whose key a probe did not find.
    #[inline]
    fn insert_at(&mut self, free: usize, key: StoredKey, value: V) -> u32 {
        // The index has a slot for it, and so a number.
        let entry = self.entries.len() as u32;
        self.index.fill(free, key.hash(), entry);
        self.entries.push(Some(Entry { key, value }));
        self.live += 1;
        entry
    }
}
