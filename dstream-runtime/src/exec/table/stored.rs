//! The key of an entry.

use std::num::NonZeroU64;

use super::hash::{INLINE, LONG, class_of};
use super::pack::{Packed, pack};

/// A key as a table keeps it.
///
/// As its hash is not zero, an `Option` of what holds it takes no more memory.
#[derive(Debug, Clone)]
pub(super) struct StoredKey {
    /// The padded bytes of a short key; place and length in the arena of a long one.
    bytes: [u8; INLINE],
    hash: NonZeroU64,
}

impl StoredKey {
    /// Keeps a short key.
    #[inline(always)]
    pub(super) fn short(key: Packed, hash: u64) -> Self {
        // The class of every key but the empty one makes its hash differ from 0; that one's is known.
        let hash = NonZeroU64::new(hash).expect("invariant: no key has the hash 0");
        Self { bytes: key.bytes(), hash }
    }

    /// Keeps any key, a long one in the arena.
    pub(super) fn new(key: &[u8], hash: u64, arena: &mut Vec<u8>) -> Self {
        if key.len() <= INLINE {
            return Self::short(pack(key), hash);
        }
        let place = Packed { lo: arena.len() as u64, hi: key.len() as u64 };
        arena.extend_from_slice(key);
        Self::short(place, hash)
    }

    /// Moves a long key to another arena.
    pub(super) fn rehouse(&mut self, from: &[u8], to: &mut Vec<u8>) {
        if class_of(self.hash()) == LONG {
            *self = Self::new(self.bytes(from), self.hash(), to);
        }
    }

    #[inline(always)]
    pub(super) fn hash(&self) -> u64 {
        self.hash.get()
    }

    /// The bytes of the key.
    #[inline(always)]
    pub(super) fn bytes<'a>(&'a self, arena: &'a [u8]) -> &'a [u8] {
        let class = class_of(self.hash());
        if class != LONG {
            return &self.bytes[..class as usize];
        }
        let place = Packed::from_bytes(self.bytes);
        &arena[place.lo as usize..][..place.hi as usize]
    }

    /// Whether this is that short key.
    #[inline(always)]
    pub(super) fn is(&self, key: Packed, hash: u64) -> bool {
        (self.bytes == key.bytes()) & (self.hash() == hash)
    }

    /// Whether this is that long key.
    #[inline(always)]
    pub(super) fn is_long(&self, key: &[u8], hash: u64, arena: &[u8]) -> bool {
        self.hash() == hash && self.bytes(arena) == key
    }
}
