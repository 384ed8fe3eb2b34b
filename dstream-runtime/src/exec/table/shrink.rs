//! How entries leave a table.
//!
//! A removed entry leaves its slot at once and its place among the entries when enough of them
//! have gone, so that removal costs constant time on average and iteration never passes over more
//! removed entries than live ones, up to a constant.

use super::hash::{LONG, class_of};
use super::{
    Entry, KeyTable, MIN_REMOVED, key_bytes, long_bytes, slot, slot_entry, slot_tag, store_long, tag_of,
};

impl<V> KeyTable<V> {
    /// Removes all keys and keeps the memory.
    pub fn clear(&mut self) {
        if self.entries.len() < self.slots.len() / 16 {
            self.vacate_runs();
        } else {
            self.slots.fill(0);
        }
        self.entries.clear();
        self.arena.clear();
        self.live = 0;
    }

    /// Hands out all keys, hashes and values in order of insertion, and keeps the memory.
    pub fn drain(&mut self, mut f: impl FnMut(&[u8], u64, V)) {
        let mut entries = std::mem::take(&mut self.entries);
        let mut arena = std::mem::take(&mut self.arena);
        self.slots.fill(0);
        self.live = 0;
        for entry in entries.drain(..) {
            if let Some(value) = entry.value {
                f(key_bytes(&entry.key, entry.hash, &arena), entry.hash, value);
            }
        }
        arena.clear();
        (self.entries, self.arena) = (entries, arena);
    }

    /// Removes a key. The order of the others is kept, their entries may get other numbers.
    pub fn remove(&mut self, key: &[u8], hash: u64) -> Option<V> {
        let entry = self.find(key, hash)?;
        self.vacate(hash, entry);
        let value = self.entries[entry as usize].value.take();
        self.live -= 1;
        if self.entries.len() - self.live > self.live + MIN_REMOVED {
            self.compact(|_, _, _| true);
        }
        value
    }

    /// Keeps the keys for which `keep` holds, asked in order of insertion.
    pub fn retain(&mut self, keep: impl FnMut(&[u8], u64, &mut V) -> bool) {
        self.compact(keep);
    }

    /// Empties the slots of few entries without a look at the others.
    ///
    /// Emptying from each entry's home to the end of the run is enough: a slot that another entry
    /// emptied before had all behind it emptied too.
    fn vacate_runs(&mut self) {
        let mask = self.slots.len().wrapping_sub(1);
        for entry in &self.entries {
            let mut at = tag_of(entry.hash) as usize & mask;
            while self.slots[at] != 0 {
                self.slots[at] = 0;
                at = (at + 1) & mask;
            }
        }
    }

    /// Takes an entry out of the index; what stands behind it moves up where its tag allows.
    fn vacate(&mut self, hash: u64, entry: u32) {
        let mask = self.slots.len() - 1;
        let mut hole = tag_of(hash) as usize & mask;
        while slot_entry(self.slots[hole]) != entry {
            hole = (hole + 1) & mask;
        }
        let mut at = hole;
        loop {
            at = (at + 1) & mask;
            let slot = self.slots[at];
            if slot == 0 {
                break;
            }
            let home = slot_tag(slot) as usize & mask;
            // It may move if its home is not behind the hole, around the end of the index.
            if (at.wrapping_sub(home) & mask) >= (at.wrapping_sub(hole) & mask) {
                self.slots[hole] = slot;
                hole = at;
            }
        }
        self.slots[hole] = 0;
    }

    /// Drops removed entries and those that `keep` refuses, and indexes the rest anew.
    fn compact(&mut self, mut keep: impl FnMut(&[u8], u64, &mut V) -> bool) {
        let before = self.entries.len();
        let arena = std::mem::take(&mut self.arena);
        self.entries.retain_mut(|entry| {
            let Entry { value: Some(value), hash, key } = entry else { return false };
            let bytes = key_bytes(key, *hash, &arena);
            keep(bytes, *hash, value)
        });
        self.live = self.entries.len();
        if self.live == before {
            self.arena = arena;
            return;
        }
        for entry in self.entries.iter_mut().filter(|entry| class_of(entry.hash) == LONG) {
            entry.key = store_long(long_bytes(&entry.key, &arena), &mut self.arena);
        }
        self.slots.fill(0);
        for entry in 0..self.entries.len() {
            self.place(slot(tag_of(self.entries[entry].hash), entry as u32));
        }
    }
}
