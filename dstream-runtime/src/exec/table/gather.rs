//! Upserts in groups, so that the memory accesses of many keys overlap.
//!
//! One upsert into a table larger than the cache waits for a slot and then for an entry. A
//! [`Gather`] takes up to [`GROUP`] keys first, then hashes all, then reads all slots, then all
//! entries, and only then changes the table: the waits of a group happen side by side.
//!
//! Invariant: the result is that of upserting one key after the other in the order of `push`.

use super::hash::{INLINE, LONG, class_of_len, hash_long, hash_packed};
use super::pack::{Packed, pack};
use super::{KeyTable, slot_entry, tag_of};

/// How many keys are gathered.
const GROUP: usize = 32;

/// Number of no entry.
const NONE: u32 = u32::MAX;

/// Keys on their way into a table, each with an argument `X` for the closures of the upsert.
///
/// It must be drained before the table is read, and always into the same table.
#[derive(Debug)]
pub struct Gather<X> {
    waiting: Vec<Waiting<X>>,
    /// The bytes of the long keys that wait.
    long: Vec<u8>,
}

#[derive(Debug)]
struct Waiting<X> {
    /// A short key, or place and length of a long one.
    key: Packed,
    class: u64,
    x: X,
}

impl<X> Default for Gather<X> {
    fn default() -> Self {
        Self::new()
    }
}

impl<X> Gather<X> {
    /// No keys.
    #[must_use]
    pub fn new() -> Self {
        Self { waiting: Vec::with_capacity(GROUP), long: Vec::new() }
    }

    /// Whether no keys wait.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Takes a key. Gives `true` when full: it must be drained then.
    #[inline(always)]
    #[must_use = "a full gather must be drained"]
    pub fn push(&mut self, key: &[u8], x: X) -> bool {
        let key_packed = if key.len() <= INLINE { pack(key) } else { self.copy_long(key) };
        self.waiting.push(Waiting { key: key_packed, class: class_of_len(key.len()), x });
        self.waiting.len() >= GROUP
    }

    #[cold]
    fn copy_long(&mut self, key: &[u8]) -> Packed {
        let at = self.long.len();
        self.long.extend_from_slice(key);
        Packed { lo: at as u64, hi: key.len() as u64 }
    }

    /// Upserts what was pushed, in that order.
    pub fn drain<V>(
        &mut self,
        table: &mut KeyTable<V>,
        mut init: impl FnMut(X) -> V,
        mut update: impl FnMut(&mut V, X),
    ) {
        let mut hashes = [0u64; GROUP];
        for (waiting, hash) in self.waiting.iter().zip(&mut hashes) {
            *hash = if waiting.class == LONG {
                hash_long(long_bytes(&self.long, waiting.key))
            } else {
                hash_packed(waiting.key, waiting.class)
            };
        }
        table.reserve(self.waiting.len());
        let mut found = [NONE; GROUP];
        let mask = table.slots.len().wrapping_sub(1);
        for (hash, found) in hashes.iter().zip(&mut found).take(self.waiting.len()) {
            *found = slot_entry(table.slots[tag_of(*hash) as usize & mask]);
        }
        for ((waiting, hash), found) in self.waiting.iter().zip(&hashes).zip(&mut found) {
            let same = table
                .entries
                .get(*found as usize)
                .is_some_and(|entry| entry.is(waiting.key, *hash));
            *found = if same { *found } else { NONE };
        }
        for ((waiting, hash), found) in self.waiting.drain(..).zip(hashes).zip(found) {
            if found != NONE {
                table.update_at(found as usize, waiting.x, &mut update);
            } else if waiting.class == LONG {
                let key = long_bytes(&self.long, waiting.key);
                table.upsert_with(key, hash, waiting.x, &mut init, &mut update);
            } else {
                table.upsert_packed(waiting.key, hash, waiting.x, &mut init, &mut update);
            }
        }
        self.long.clear();
    }
}

fn long_bytes(long: &[u8], place: Packed) -> &[u8] {
    &long[place.lo as usize..][..place.hi as usize]
}
