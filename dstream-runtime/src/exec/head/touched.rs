//! Which entries of a state's table have changed since it was marked, which is done whenever it is saved, and which
//! keys were removed.
//!
//! The head that owns the table says which entries a batch touches, so tables that are no state pay nothing, and
//! one that is saved pays a bit per touched key, and a key per removed one. Two marks are kept, since a saved state
//! continues the one before the last one (see `sched::master::checkpoints`).
//!
//! Invariant: entries keep their numbers, unless [`Touched::renumber`] is told of it.

use std::collections::VecDeque;

use crate::bits::Bits;
use crate::exec::table::KeyTable;

/// How many marks are kept.
pub(super) const MARKS: usize = 2;

/// The new number of an entry that is not there any more.
pub(super) const GONE: u32 = u32::MAX;

/// What has changed since each of the last marks.
#[derive(Debug, Default)]
pub(super) struct Touched(VecDeque<Since>);

#[derive(Debug, Default)]
struct Since {
    /// How many entries there were at the mark.
    known: usize,
    /// Which of them have changed between this mark and the next.
    changed: Bits,
    /// The keys that were removed between this mark and the next; they may be there again.
    removed: KeyTable<()>,
}

impl Touched {
    /// Marks the table, which has `entries` entries.
    pub(super) fn mark(&mut self, entries: usize) {
        let mut next = match self.0.len() {
            MARKS => self.0.pop_front().unwrap_or_default(),
            _ => Since::default(),
        };
        next.known = entries;
        next.changed.reset(entries);
        next.removed.clear();
        self.0.push_back(next);
    }

    /// An entry was changed, or is new.
    #[inline]
    pub(super) fn touch(&mut self, entry: u32) {
        if let Some(since) = self.0.back_mut() {
            // One that was not known at the mark is out of bounds, and counts anyway.
            since.changed.insert(entry as usize);
        }
    }

    /// A key was removed.
    pub(super) fn remove(&mut self, key: &[u8], hash: u64) {
        if let Some(since) = self.0.back_mut() {
            since.removed.upsert_with(key, hash, (), |()| (), |(), ()| ());
        }
    }

    /// Entries have got other numbers, in the same order; [`GONE`] for those that are not there any more.
    pub(super) fn renumber(&mut self, new: &[u32]) {
        for since in &mut self.0 {
            let known = &new[..since.known.min(new.len())];
            let before = std::mem::take(&mut since.changed);
            since.known = known.iter().filter(|number| **number != GONE).count();
            since.changed.reset(since.known);
            for (old, number) in known.iter().enumerate() {
                if *number != GONE && before.contains(old) {
                    since.changed.insert(*number as usize);
                }
            }
        }
    }

    /// The entries that have changed since the last mark but one, in order, of a table that has numbers up to
    /// `entries` now; some may be removed. None if there was no such mark.
    pub(super) fn since_last_but_one(&self, entries: usize) -> Option<Vec<u32>> {
        let first = self.0.front().filter(|_| self.0.len() == MARKS)?;
        let changed = |entry: &usize| self.0.iter().any(|since| since.changed.contains(*entry));
        let known = (0..first.known).filter(changed);
        Some(known.chain(first.known..entries).map(|entry| entry as u32).collect())
    }

    /// The keys that were removed since the last mark but one, with their hashes; one may come twice, or be there
    /// again.
    pub(super) fn removed(&self) -> impl Iterator<Item = (&[u8], u64)> {
        self.0.iter().flat_map(|since| since.removed.iter()).map(|(key, hash, ())| (key, hash))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::table::hash_key;

    #[test]
    fn what_was_touched_since_the_last_mark_but_one_is_known() {
        let mut touched = Touched::default();
        touched.touch(0);
        touched.mark(3);
        touched.touch(1);
        assert_eq!(touched.since_last_but_one(3), None, "there was one mark");
        touched.mark(4);
        touched.touch(1);
        touched.touch(3);
        touched.touch(4);
        assert_eq!(touched.since_last_but_one(5), Some(vec![1, 3, 4]));
        touched.mark(5);
        touched.touch(0);
        assert_eq!(touched.since_last_but_one(6), Some(vec![0, 1, 3, 4, 5]));
        touched.mark(6);
        assert_eq!(touched.since_last_but_one(6), Some(vec![0, 5]));
    }

    #[test]
    fn marks_follow_entries_to_their_new_numbers() {
        let mut touched = Touched::default();
        touched.mark(6);
        touched.touch(4);
        touched.mark(7);
        touched.touch(1);
        touched.touch(5);
        // Entries 0 and 5 are gone, and 7 is new.
        touched.renumber(&[GONE, 0, 1, 2, 3, GONE, 4, 5]);
        assert_eq!(touched.since_last_but_one(6), Some(vec![0, 3, 4, 5]));
    }

    #[test]
    fn removed_keys_are_known_until_the_mark_after_the_next() {
        let mut touched = Touched::default();
        let remove = |touched: &mut Touched, key: &[u8]| touched.remove(key, hash_key(key));
        let keys = |touched: &Touched| touched.removed().map(|(key, _)| key.to_vec()).collect();
        remove(&mut touched, b"before any mark");
        touched.mark(0);
        remove(&mut touched, b"a");
        touched.mark(0);
        remove(&mut touched, b"b");
        remove(&mut touched, b"b");
        let known: Vec<Vec<u8>> = keys(&touched);
        assert_eq!(known, [b"a", b"b"]);
        touched.mark(0);
        let known: Vec<Vec<u8>> = keys(&touched);
        assert_eq!(known, [b"b"]);
    }
}
