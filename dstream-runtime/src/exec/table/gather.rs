//! Upserts in groups, so that the memory accesses of many keys overlap.
//!
//! One upsert into a table larger than the cache waits for a slot and then for an entry. A
//! [`Gather`] takes 64 keys first, then hashes all, then reads all slots, then fetches all entries,
//! and only then changes the table: the waits of a group happen side by side.
//!
//! Invariant: the result is that of upserting one key after the other in the order of `push`.

use super::KeyTable;
use super::hash::{INLINE, LONG, class_of_len, hash_long, hash_packed};
use super::pack::{Packed, pack};
use super::prefetch::prefetch;

/// How many keys are gathered.
const GROUP: usize = 64;

/// Set in the length of a long key that waits, so that it is never taken for one in a table.
const SCRATCH: u64 = 1 << 63;

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
        let packed = if key.len() <= INLINE { pack(key) } else { self.copy_long(key) };
        self.waiting.push(Waiting { key: packed, class: class_of_len(key.len()), x });
        self.waiting.len() >= GROUP
    }

    #[cold]
    fn copy_long(&mut self, key: &[u8]) -> Packed {
        let at = self.long.len();
        self.long.extend_from_slice(key);
        Packed { lo: at as u64, hi: key.len() as u64 | SCRATCH }
    }

    /// Upserts what was pushed, in that order.
    #[inline]
    pub fn drain<V>(
        &mut self,
        table: &mut KeyTable<V>,
        init: impl FnMut(X) -> V,
        update: impl FnMut(&mut V, X),
    ) {
        let hash = |waiting: &Waiting<X>, long: &[u8]| match waiting.class {
            LONG => hash_long(long_bytes(long, waiting.key)),
            len => hash_packed(waiting.key, len),
        };
        self.drain_hashed(hash, table, init, update);
    }

    /// [`drain`](Self::drain) by another hash.
    #[cfg(test)]
    pub(super) fn drain_by<V>(
        &mut self,
        hash: fn(&[u8]) -> u64,
        table: &mut KeyTable<V>,
        init: impl FnMut(X) -> V,
        update: impl FnMut(&mut V, X),
    ) {
        let hash = |waiting: &Waiting<X>, long: &[u8]| match waiting.class {
            LONG => hash(long_bytes(long, waiting.key)),
            len => hash(&waiting.key.bytes()[..len as usize]),
        };
        self.drain_hashed(hash, table, init, update);
    }

    #[inline(always)]
    fn drain_hashed<V>(
        &mut self,
        hash: impl Fn(&Waiting<X>, &[u8]) -> u64,
        table: &mut KeyTable<V>,
        mut init: impl FnMut(X) -> V,
        mut update: impl FnMut(&mut V, X),
    ) {
        // More than a group wait only if a full gather was not drained.
        while !self.waiting.is_empty() {
            let count = self.waiting.len().min(GROUP);
            table.reserve(count);
            let mut hashes = [0; GROUP];
            for (waiting, to) in self.waiting.iter().zip(&mut hashes) {
                *to = hash(waiting, &self.long);
                prefetch(table.index.place(*to));
            }
            let mut likely = [0; GROUP];
            for (hash, likely) in hashes.iter().zip(&mut likely).take(count) {
                *likely = table.index.likely(*hash);
                prefetch(table.entries.as_ptr().wrapping_add(*likely as usize));
            }
            let group = self.waiting.drain(..count);
            for ((waiting, hash), likely) in group.zip(&hashes).zip(&likely) {
                let hash = *hash;
                if let Some(Some(entry)) = table.entries.get_mut(*likely as usize)
                    && entry.key.is(waiting.key, hash)
                {
                    update(&mut entry.value, waiting.x);
                } else if waiting.class == LONG {
                    let key = long_bytes(&self.long, waiting.key);
                    table.upsert_with(key, hash, waiting.x, &mut init, &mut update);
                } else {
                    table.upsert_packed(waiting.key, hash, waiting.x, &mut init, &mut update);
                }
            }
        }
        self.long.clear();
    }
}

fn long_bytes(long: &[u8], place: Packed) -> &[u8] {
    &long[place.lo as usize..][..(place.hi & !SCRATCH) as usize]
}
