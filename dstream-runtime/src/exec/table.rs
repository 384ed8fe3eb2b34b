//! Tables from keys to values: what keyed collectors and state are made of.
//!
//! A [`KeyTable`] decides where the bytes of a key and its value lie in memory. It never hashes
//! what it is given a hash for, never draws a seed, and never shows anything in another order than
//! that of insertion: the same operations give the same table, byte for byte, everywhere.
//!
//! Entries are dense, in the order of insertion, which puts the frequent keys of a skewed stream,
//! as they come early, side by side. Keys of up to 16 bytes lie in their entry, longer ones in one
//! arena. An index of 8-byte slots, probed linearly, holds 32 bits of the hash with the number of
//! the entry, so that growing it reads no key.
//!
//! Invariants: every live entry is in exactly one slot, and between the slot its hash asks for and
//! that one none is empty; at most 3/4 of the slots are in use; removed entries are in no slot and
//! are fewer than the live ones, up to a constant.

mod gather;
mod hash;
mod pack;
mod shrink;

#[cfg(test)]
mod tests;

use std::fmt;

pub use gather::Gather;
pub use hash::{hash_key, partition_of};

use hash::{CLASS_BITS, INLINE, LONG, class_of, class_of_len};
use pack::{Packed, pack};

/// Slots of the smallest index.
const MIN_SLOTS: usize = 16;

/// Removed entries that are not worth a compaction.
const MIN_REMOVED: usize = 32;

/// A table from the canonical bytes of keys to values, in order of insertion.
///
/// Wherever it takes a key and a hash, the hash must be that of the key by [`hash_key`].
#[derive(Clone)]
pub struct KeyTable<V> {
    /// [`slot`]s, or 0 where empty. Their number is a power of two, or none.
    slots: Vec<u64>,
    entries: Vec<Entry<V>>,
    /// The bytes of long keys.
    arena: Vec<u8>,
    live: usize,
}

#[derive(Clone)]
struct Entry<V> {
    /// The padded bytes of a short key; place and length in the arena of a long one.
    key: [u8; INLINE],
    hash: u64,
    /// Nothing once removed.
    value: Option<V>,
}

/// The bits of the hash that the index keeps; the lowest decide the place.
#[inline(always)]
fn tag_of(hash: u64) -> u32 {
    (hash >> CLASS_BITS) as u32
}

/// The slot of the entry of that number.
#[inline(always)]
fn slot(tag: u32, entry: u32) -> u64 {
    u64::from(tag) << 32 | (u64::from(entry) + 1)
}

#[inline(always)]
fn slot_tag(slot: u64) -> u32 {
    (slot >> 32) as u32
}

/// The entry in a slot; of an empty slot, a number that no entry has.
#[inline(always)]
fn slot_entry(slot: u64) -> u32 {
    (slot as u32).wrapping_sub(1)
}

impl<V> Entry<V> {
    #[inline(always)]
    fn key<'a>(&'a self, arena: &'a [u8]) -> &'a [u8] {
        key_bytes(&self.key, self.hash, arena)
    }

    /// Whether this is the entry of a short key.
    #[inline(always)]
    fn is(&self, key: Packed, hash: u64) -> bool {
        (self.key == key.bytes()) & (self.hash == hash)
    }
}

/// The bytes of a key that an entry keeps.
#[inline(always)]
fn key_bytes<'a>(kept: &'a [u8; INLINE], hash: u64, arena: &'a [u8]) -> &'a [u8] {
    let class = class_of(hash);
    if class == LONG { long_bytes(kept, arena) } else { &kept[..class as usize] }
}

/// The bytes of a long key, in the arena.
fn long_bytes<'a>(kept: &[u8; INLINE], arena: &'a [u8]) -> &'a [u8] {
    let place = Packed::from_bytes(*kept);
    &arena[place.lo as usize..][..place.hi as usize]
}

/// Puts a long key into the arena; gives what its entry keeps.
fn store_long(bytes: &[u8], arena: &mut Vec<u8>) -> [u8; INLINE] {
    let place = Packed { lo: arena.len() as u64, hi: bytes.len() as u64 };
    arena.extend_from_slice(bytes);
    place.bytes()
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
        Self { slots: Vec::new(), entries: Vec::new(), arena: Vec::new(), live: 0 }
    }

    /// An empty table with room for so many keys.
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
        if self.slots.is_empty() {
            return None;
        }
        self.probe_key(key, hash).ok().map(|entry| entry as u32)
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
        match self.probe_key(key, hash) {
            Ok(entry) => {
                self.update_at(entry, x, update);
                (entry as u32, false)
            }
            Err(free) if key.len() <= INLINE => {
                (self.insert_at(free, pack(key).bytes(), hash, init(x)), true)
            }
            Err(free) => {
                let value = init(x);
                (self.insert_long(free, key, hash, value), true)
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
        match self.probe(hash, |entry| entry.is(key, hash)) {
            Ok(entry) => self.update_at(entry, x, update),
            Err(free) => {
                self.insert_at(free, key.bytes(), hash, init(x));
            }
        }
    }

    /// The key of an entry.
    ///
    /// # Panics
    /// When there is no entry of that number.
    #[inline]
    #[must_use]
    pub fn key(&self, entry: u32) -> &[u8] {
        self.entries[entry as usize].key(&self.arena)
    }

    /// The hash of an entry's key.
    ///
    /// # Panics
    /// When there is no entry of that number.
    #[inline]
    #[must_use]
    pub fn hash(&self, entry: u32) -> u64 {
        self.entries[entry as usize].hash
    }

    /// The value of an entry.
    ///
    /// # Panics
    /// When there is no entry of that number, or it was removed.
    #[inline]
    #[must_use]
    pub fn value(&self, entry: u32) -> &V {
        self.entries[entry as usize].value.as_ref().expect("invariant: entries in use are live")
    }

    /// The value of an entry, to be changed.
    ///
    /// # Panics
    /// When there is no entry of that number, or it was removed.
    #[inline]
    #[must_use]
    pub fn value_mut(&mut self, entry: u32) -> &mut V {
        self.entries[entry as usize].value.as_mut().expect("invariant: entries in use are live")
    }

    /// Keys, their hashes and their values in order of insertion.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], u64, &V)> {
        self.entries.iter().filter_map(|entry| {
            entry.value.as_ref().map(|value| (entry.key(&self.arena), entry.hash, value))
        })
    }

    /// The memory it holds, in bytes, without what values own elsewhere.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.slots.capacity() * size_of::<u64>()
            + self.entries.capacity() * size_of::<Entry<V>>()
            + self.arena.capacity()
    }

    /// Makes sure that so many more keys find a slot.
    #[inline(always)]
    fn reserve(&mut self, more: usize) {
        if (self.live + more) * 4 > self.slots.len() * 3 {
            self.grow(self.live + more);
        }
    }

    #[cold]
    fn grow(&mut self, keys: usize) {
        let slots = (keys * 4).div_ceil(3).next_power_of_two().max(MIN_SLOTS);
        let old = std::mem::replace(&mut self.slots, vec![0; slots]);
        for slot in old.into_iter().filter(|slot| *slot != 0) {
            self.place(slot);
        }
    }

    /// Puts a slot's content where its tag asks for, or behind.
    fn place(&mut self, slot: u64) {
        let mask = self.slots.len() - 1;
        let mut at = slot_tag(slot) as usize & mask;
        while self.slots[at] != 0 {
            at = (at + 1) & mask;
        }
        self.slots[at] = slot;
    }

    /// The entry for which `same` holds, or the slot where it would go. There must be slots.
    #[inline(always)]
    fn probe(&self, hash: u64, same: impl Fn(&Entry<V>) -> bool) -> Result<usize, usize> {
        let tag = tag_of(hash);
        let mask = self.slots.len() - 1;
        let mut at = tag as usize & mask;
        loop {
            let slot = self.slots[at];
            if slot_tag(slot) == tag && slot != 0 {
                let entry = slot_entry(slot) as usize;
                if same(&self.entries[entry]) {
                    return Ok(entry);
                }
            } else if slot == 0 {
                return Err(at);
            }
            at = (at + 1) & mask;
        }
    }

    #[inline(always)]
    fn probe_key(&self, key: &[u8], hash: u64) -> Result<usize, usize> {
        debug_assert_eq!(class_of(hash), class_of_len(key.len()), "a hash not of `hash_key`");
        if key.len() <= INLINE {
            let packed = pack(key);
            self.probe(hash, |entry| entry.is(packed, hash))
        } else {
            self.probe(hash, |entry| entry.hash == hash && entry.key(&self.arena) == key)
        }
    }

    #[inline(always)]
    fn update_at<X>(&mut self, entry: usize, x: X, update: impl FnOnce(&mut V, X)) {
        if let Some(value) = &mut self.entries[entry].value {
            update(value, x);
        }
    }

    #[inline]
    fn insert_at(&mut self, free: usize, key: [u8; INLINE], hash: u64, value: V) -> u32 {
        let entry = u32::try_from(self.entries.len()).expect("invariant: tables are below 2^32 keys");
        self.slots[free] = slot(tag_of(hash), entry);
        self.entries.push(Entry { key, hash, value: Some(value) });
        self.live += 1;
        entry
    }

    #[cold]
    fn insert_long(&mut self, free: usize, key: &[u8], hash: u64, value: V) -> u32 {
        let kept = store_long(key, &mut self.arena);
        self.insert_at(free, kept, hash, value)
    }
}
