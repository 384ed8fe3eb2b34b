//! Upserts of rows whose hashes are known, as blocks carry them.
//!
//! The same as in a [`Gather`](super::Gather): the memory accesses of a group of keys overlap. Here
//! nothing is copied, as the rows lie in blocks.
//!
//! Invariant: the result is that of upserting one row after the other.

use super::KeyTable;
use super::prefetch::prefetch;

/// How many rows are looked at together.
const GROUP: usize = 32;

impl<V> KeyTable<V> {
    /// Upserts keys with their hashes, each with an argument for whichever closure is called.
    pub fn upsert_rows<'k, X>(
        &mut self,
        rows: impl Iterator<Item = (&'k [u8], u64, X)>,
        mut init: impl FnMut(X) -> V,
        mut update: impl FnMut(&mut V, X),
    ) {
        self.in_groups(rows, |table, key, hash, x| {
            table.upsert_with(key, hash, x, &mut init, &mut update);
        });
    }

    /// Calls `f` for each row when its key's slot and entry are probably near.
    pub fn in_groups<'k, X>(
        &mut self,
        mut rows: impl Iterator<Item = (&'k [u8], u64, X)>,
        mut f: impl FnMut(&mut Self, &'k [u8], u64, X),
    ) {
        let mut group = Vec::with_capacity(GROUP);
        loop {
            group.extend(rows.by_ref().take(GROUP));
            if group.is_empty() {
                return;
            }
            if self.index.room() > 0 {
                for (_, hash, _) in &group {
                    prefetch(self.index.place(*hash));
                }
                for (_, hash, _) in &group {
                    let likely = self.index.likely(*hash) as usize;
                    prefetch(self.entries.as_ptr().wrapping_add(likely));
                }
            }
            for (key, hash, x) in group.drain(..) {
                f(self, key, hash, x);
            }
        }
    }
}
