//! Least recently used blocks.
//!
//! Using a block only sets its stamp; the order is updated when the oldest is asked for. So a use costs a
//! store without a lock, and nothing is sorted needlessly: most blocks are dropped before memory is full.

use std::collections::BTreeMap;

/// Entries by the stamp last seen here. Stamps are unique.
pub(super) struct Lru<T> {
    /// Entries not inspected yet.
    fresh: Vec<(u64, T)>,
    sorted: BTreeMap<u64, T>,
    /// Number of entries at which dead ones are swept out.
    sweep_at: usize,
}

/// Entries below which no sweep is worth its cost.
const FEW: usize = 1024;

impl<T> Lru<T> {
    pub(super) fn new() -> Self {
        Self { fresh: Vec::new(), sorted: BTreeMap::new(), sweep_at: FEW }
    }

    /// Adds an entry. `lives` tells whether an entry still exists. Sweeps call it for all entries, rarely
    /// enough for a constant average cost per insertion.
    #[inline]
    pub(super) fn insert(&mut self, stamp: u64, entry: T, lives: impl Fn(&T) -> bool) {
        if self.fresh.len() + self.sorted.len() >= self.sweep_at {
            self.fresh.retain(|(_, entry)| lives(entry));
            self.sorted.retain(|_, entry| lives(entry));
            self.sweep_at = FEW.max((self.fresh.len() + self.sorted.len()) * 2);
        }
        self.fresh.push((stamp, entry));
    }

    /// Removes the entry with the oldest stamp. `look` returns an entry's value and current stamp, or `None`
    /// if it is gone.
    pub(super) fn take_oldest<U>(&mut self, look: impl Fn(&T) -> Option<(U, u64)>) -> Option<U> {
        self.sorted.extend(self.fresh.drain(..));
        loop {
            let (known, entry) = self.sorted.pop_first()?;
            match look(&entry) {
                Some((found, stamp)) if stamp <= known => return Some(found),
                Some((_, stamp)) => _ = self.sorted.insert(stamp, entry),
                None => {}
            }
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.fresh.len() + self.sorted.len()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::rc::{Rc, Weak};

    use super::*;

    fn look(entry: &Weak<Cell<u64>>) -> Option<(Rc<Cell<u64>>, u64)> {
        entry.upgrade().map(|entry| (Rc::clone(&entry), entry.get()))
    }

    /// Random insertions, uses and removals, compared with a list that is sorted every time.
    #[test]
    fn the_oldest_is_the_one_whose_last_use_is_longest_ago() {
        let (mut lru, mut all) = (Lru::new(), Vec::<Rc<Cell<u64>>>::new());
        let random = RefCell::new(0x9e37_79b9_7f4a_7c15_u64);
        let below = |n: usize| {
            let mut state = random.borrow_mut();
            *state ^= *state << 13;
            *state ^= *state >> 7;
            *state ^= *state << 17;
            *state as usize % n
        };
        for stamp in 1..5_000 {
            match (below(8), all.len()) {
                (0..3, _) | (_, 0) => {
                    let entry = Rc::new(Cell::new(stamp));
                    lru.insert(stamp, Rc::downgrade(&entry), |entry| entry.strong_count() > 0);
                    all.push(entry);
                }
                (3..6, len) => all[below(len)].set(stamp),
                (6, len) => drop(all.swap_remove(below(len))),
                _ => {
                    all.sort_by_key(|entry| std::cmp::Reverse(entry.get()));
                    // The oldest is dropped silently; the next one is found.
                    drop(all.pop());
                    let found = lru.take_oldest(look).map(|entry| entry.get());
                    assert_eq!(found, all.pop().map(|entry| entry.get()));
                }
            }
        }
    }

    #[test]
    fn what_is_gone_is_swept_out() {
        let mut lru = Lru::new();
        let kept: Vec<_> = (0..10).map(|n| Rc::new(Cell::new(n))).collect();
        for (stamp, entry) in (0..).zip(&kept) {
            lru.insert(stamp, Rc::downgrade(entry), |entry| entry.strong_count() > 0);
        }
        for stamp in 10..10_000 {
            lru.insert(stamp, Weak::new(), |entry: &Weak<_>| entry.strong_count() > 0);
        }
        assert!(lru.len() <= FEW + 1, "{}", lru.len());
        let left = std::iter::from_fn(|| lru.take_oldest(look)).count();
        assert_eq!(left, 10);
    }
}
