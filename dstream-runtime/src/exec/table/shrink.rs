//! How entries leave a table.
//!
//! A removed entry leaves its slot at once and its place among the entries when enough of them
//! have gone, so that removal costs constant time on average and iteration never passes over more
//! removed entries than live ones, up to a constant.

use super::{Entry, KeyTable, LIVE, MIN_REMOVED};

impl<V> KeyTable<V> {
    /// Removes all keys and keeps the memory.
    pub fn clear(&mut self) {
        if self.index.is_sparse(self.entries.len()) {
            for entry in self.entries.iter().flatten() {
                self.index.clear_run(entry.key.hash());
            }
        } else {
            self.index.clear();
        }
        self.entries.clear();
        self.arena.clear();
        self.live = 0;
    }

    /// Hands out all keys, hashes and values in order of insertion, and keeps the memory.
    pub fn drain(&mut self, mut f: impl FnMut(&[u8], u64, V)) {
        let mut entries = std::mem::take(&mut self.entries);
        let mut arena = std::mem::take(&mut self.arena);
        self.index.clear();
        self.live = 0;
        for entry in entries.drain(..).flatten() {
            f(entry.key.bytes(&arena), entry.key.hash(), entry.value);
        }
        arena.clear();
        (self.entries, self.arena) = (entries, arena);
    }

    /// Removes a key. The order of the others is kept, their entries may get other numbers.
    pub fn remove(&mut self, key: &[u8], hash: u64) -> Option<V> {
        let entry = self.find(key, hash)?;
        let removed = self.remove_at(entry);
        if self.is_loose() {
            self.tighten();
        }
        removed
    }

    /// Removes an entry, if it is there. The others keep their numbers: who removes this way also calls
    /// [`tighten`](Self::tighten) when the table [`is_loose`](Self::is_loose).
    pub fn remove_at(&mut self, entry: u32) -> Option<V> {
        let hash = self.entries.get(entry as usize)?.as_ref()?.key.hash();
        let entries = &self.entries;
        self.index
            .remove(hash, entry, |other| entries[other as usize].as_ref().expect(LIVE).key.hash());
        self.live -= 1;
        self.entries[entry as usize].take().map(|removed| removed.value)
    }

    /// Whether a compaction is worth its time: most places are those of removed entries.
    #[must_use]
    pub fn is_loose(&self) -> bool {
        self.entries.len() - self.live > self.live + MIN_REMOVED
    }

    /// Drops removed entries: the others are numbered anew, in order.
    pub fn tighten(&mut self) {
        self.compact(|_, _, _| true);
    }

    /// Keeps the keys for which `keep` holds, asked in order of insertion.
    pub fn retain(&mut self, keep: impl FnMut(&[u8], u64, &mut V) -> bool) {
        self.compact(keep);
    }

    /// Drops removed entries and those that `keep` refuses, and indexes the rest anew.
    fn compact(&mut self, mut keep: impl FnMut(&[u8], u64, &mut V) -> bool) {
        let before = self.entries.len();
        let arena = std::mem::take(&mut self.arena);
        self.entries.retain_mut(|entry| {
            let Some(Entry { key, value }) = entry else {
                return false;
            };
            keep(key.bytes(&arena), key.hash(), value)
        });
        self.live = self.entries.len();
        if self.live == before {
            self.arena = arena;
            return;
        }
        for entry in self.entries.iter_mut().flatten() {
            entry.key.rehouse(&arena, &mut self.arena);
        }
        self.index.clear();
        self.index_all();
    }
}
