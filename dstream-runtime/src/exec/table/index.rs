//! Where the entry of a hash is.
//!
//! An index of 4-byte slots, probed linearly. A slot holds the number of an entry in its low bits,
//! as many as the largest needs, and bits of the hash above, so that entries which are not the one
//! are seldom looked at. It decides nothing by the key itself: its callers compare.
//!
//! Invariants: between the slot that a hash asks for and the one its entry is in, none is empty; at
//! least half of the slots are empty.

use std::hint::select_unpredictable;

use super::hash::CLASS_BITS;

/// Slots of the smallest index.
const MIN_SLOTS: usize = 16;

/// Most entries an index can number.
const MAX_ENTRIES: usize = 1 << 30;

#[derive(Debug, Clone, Default)]
pub(super) struct Index {
    /// Slots, or 0 where empty. Their number is a power of two, or none.
    slots: Vec<u32>,
    /// How many low bits of a slot are the number of the entry, counted from 1.
    entry_bits: u32,
}

/// Why a probe ended.
pub(super) enum Probe {
    /// At this entry.
    Found(u32),
    /// At this empty slot.
    Free(usize),
}

impl Index {
    pub(super) const fn new() -> Self {
        Self { slots: Vec::new(), entry_bits: 0 }
    }

    /// How many entries it has room for.
    #[inline(always)]
    pub(super) fn room(&self) -> usize {
        self.slots.len() / 2
    }

    pub(super) fn memory(&self) -> usize {
        self.slots.capacity() * size_of::<u32>()
    }

    /// Whether so few entries are better taken out one by one than all at once.
    pub(super) fn is_sparse(&self, entries: usize) -> bool {
        entries < self.slots.len() / 32
    }

    /// Empties all slots.
    pub(super) fn clear(&mut self) {
        self.slots.fill(0);
    }

    /// An empty index with room for `entries` entries.
    ///
    /// # Panics
    /// When these are more than can be numbered.
    pub(super) fn reset(&mut self, entries: usize) {
        assert!(entries < MAX_ENTRIES, "a table of {entries} keys: use more partitions");
        let slots = (entries * 2).next_power_of_two().max(MIN_SLOTS);
        self.entry_bits = slots.trailing_zeros();
        self.slots.clear();
        self.slots.resize(slots, 0);
    }

    #[inline(always)]
    fn mask(&self) -> usize {
        self.slots.len() - 1
    }

    /// The slot that a hash asks for.
    #[inline(always)]
    fn home(&self, hash: u64) -> usize {
        (hash >> CLASS_BITS) as usize & self.mask()
    }

    /// The bits of a hash that a slot keeps, in their place. Neither those of the home, nor those
    /// of the partition, which all keys of a table may share.
    #[inline(always)]
    fn tag(&self, hash: u64) -> u32 {
        ((hash >> 32) as u32) << self.entry_bits
    }

    /// Whether a slot keeps that tag. An empty one may, too.
    #[inline(always)]
    fn has_tag(&self, slot: u32, tag: u32) -> bool {
        (slot ^ tag) >> self.entry_bits == 0
    }

    /// The entry in a slot; of an empty slot, a number that no entry has.
    #[inline(always)]
    fn entry(&self, slot: u32) -> u32 {
        (slot & ((1 << self.entry_bits) - 1)).wrapping_sub(1)
    }

    /// Looks for the entry of a hash for which `same` holds. There must be slots.
    #[inline(always)]
    pub(super) fn probe(&self, hash: u64, same: impl Fn(u32) -> bool) -> Probe {
        let (tag, mask) = (self.tag(hash), self.mask());
        let mut at = self.home(hash);
        loop {
            let slot = self.slots[at];
            if slot == 0 {
                return Probe::Free(at);
            }
            if self.has_tag(slot, tag) && same(self.entry(slot)) {
                return Probe::Found(self.entry(slot));
            }
            at = (at + 1) & mask;
        }
    }

    /// The entry that probably has this hash, without a branch. There must be slots.
    #[inline(always)]
    pub(super) fn likely(&self, hash: u64) -> u32 {
        let (tag, home) = (self.tag(hash), self.home(hash));
        let (first, second) = (self.slots[home], self.slots[(home + 1) & self.mask()]);
        self.entry(select_unpredictable(self.has_tag(first, tag), first, second))
    }

    /// The slot that a hash asks for, to be fetched.
    #[inline(always)]
    pub(super) fn place(&self, hash: u64) -> *const u32 {
        self.slots.as_ptr().wrapping_add(self.home(hash))
    }

    /// Puts an entry into a slot that a probe for its hash found free.
    #[inline(always)]
    pub(super) fn fill(&mut self, free: usize, hash: u64, entry: u32) {
        self.slots[free] = self.tag(hash) | (entry + 1);
    }

    /// Adds an entry that is not in yet.
    pub(super) fn insert(&mut self, hash: u64, entry: u32) {
        let mut at = self.home(hash);
        while self.slots[at] != 0 {
            at = (at + 1) & self.mask();
        }
        self.fill(at, hash, entry);
    }

    /// Empties the slots from the home of a hash to the end of the run.
    ///
    /// Done for all entries, it empties the index: a slot on the way from a home to its entry that
    /// was emptied before had all behind it emptied too.
    pub(super) fn clear_run(&mut self, hash: u64) {
        let mut at = self.home(hash);
        while self.slots[at] != 0 {
            self.slots[at] = 0;
            at = (at + 1) & self.mask();
        }
    }

    /// Takes an entry out; those behind it move up where their hashes allow.
    pub(super) fn remove(&mut self, hash: u64, entry: u32, hash_of: impl Fn(u32) -> u64) {
        let mask = self.mask();
        let mut hole = self.home(hash);
        while self.entry(self.slots[hole]) != entry {
            hole = (hole + 1) & mask;
        }
        let mut at = hole;
        loop {
            at = (at + 1) & mask;
            let slot = self.slots[at];
            if slot == 0 {
                break;
            }
            // It may move unless its home lies behind the hole. Distances wrap around the end.
            let home = self.home(hash_of(self.entry(slot)));
            if at.wrapping_sub(home) & mask >= at.wrapping_sub(hole) & mask {
                self.slots[hole] = slot;
                hole = at;
            }
        }
        self.slots[hole] = 0;
    }
}
