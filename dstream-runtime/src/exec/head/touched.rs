//! Which entries of a state's table have changed since it was marked, which is done whenever it is saved.
//!
//! The head that owns the table says which entries a batch touches, so tables that are no state pay nothing, and
//! one that is saved pays a bit per touched key. Two marks are kept, since a saved state continues the one before
//! the last one (see `sched::master::checkpoints`).
//!
//! Invariant: it is only for tables that nothing is removed from, whose entries keep their numbers.

use std::collections::VecDeque;

use crate::bits::Bits;

/// How many marks are kept.
pub(super) const MARKS: usize = 2;

/// What has changed since each of the last marks.
#[derive(Debug, Default)]
pub(super) struct Touched(VecDeque<Since>);

#[derive(Debug, Default)]
struct Since {
    /// How many entries there were at the mark.
    known: usize,
    /// Which of them have changed between this mark and the next.
    changed: Bits,
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

    /// The entries that have changed since the last mark but one, in order, of a table that has `entries` now. None
    /// if there was no such mark.
    pub(super) fn since_last_but_one(&self, entries: usize) -> Option<Vec<u32>> {
        let first = self.0.front().filter(|_| self.0.len() == MARKS)?;
        let changed = |entry: &usize| self.0.iter().any(|since| since.changed.contains(*entry));
        let known = (0..first.known).filter(changed);
        Some(known.chain(first.known..entries).map(|entry| entry as u32).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
