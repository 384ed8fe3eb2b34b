//! Overlapping event-time windows at a constant number of merges per pane: two stacks of panes (the aggregator queue
//! of Tangwongsan et al., VLDB 2015).
//!
//! It is made of panes that are kept anyway, and can be made again at any time with the same result: the keys of a
//! window stand in the order in which they came, pane by pane. Records that come out of order, but within the slack,
//! are of panes that it has not taken in yet; for others it is made anew.

use super::{Brought, OpenPanes, each};
use crate::exec::table::KeyTable;
use crate::record::{Key, Record};

/// The aggregates of a window's panes.
pub(super) struct Stacks<V> {
    /// The end of the panes that are in it.
    until: i64,
    /// Panes that will leave, each with its start and the aggregate from it to the newest of them; the last is that of
    /// all.
    front: Vec<(i64, KeyTable<V>)>,
    /// What came since, aggregated.
    back: KeyTable<V>,
}

/// The panes of the state, with what the batch brings.
pub(super) struct Panes<'p, K, V> {
    pub(super) state: &'p OpenPanes<K, V>,
    pub(super) brought: &'p Brought<V>,
}

impl<K: Key, V: Record> Panes<'_, K, V> {
    /// The starts of panes that hold something, in order.
    pub(super) fn starts(&self, from: i64, to: i64) -> Vec<i64> {
        let kept = self.state.panes.range(from..to.max(from)).map(|(pane, _)| *pane);
        let brought = self.brought.range(from..to.max(from)).map(|(pane, _)| *pane);
        let mut starts: Vec<i64> = kept.chain(brought).collect();
        starts.sort_unstable();
        starts.dedup();
        starts
    }

    /// Merges the values of a pane into a table.
    pub(super) fn merge_into(
        &self,
        table: &mut KeyTable<V>,
        pane: i64,
        merge: &impl Fn(&mut V, V::View<'_>),
    ) {
        each(self.state.panes.get(&pane), self.brought.get(&pane), |key, hash, value| {
            table.upsert_with(key, hash, value.view(), V::own, |acc, v| merge(acc, v));
        });
    }
}

impl<V: Record> Stacks<V> {
    /// Of no pane, for a window that begins then.
    pub(super) fn new(start: i64) -> Self {
        Self { until: start, front: Vec::new(), back: KeyTable::new() }
    }

    /// Whether what a batch brings is of none of its panes.
    pub(super) fn holds_with(&self, brought: &Brought<V>) -> bool {
        brought.first_key_value().is_none_or(|(pane, _)| *pane >= self.until)
    }

    /// Moves it to the window from `start` to `end`, which is later than the one before.
    pub(super) fn slide<K: Key>(
        &mut self,
        (start, end): (i64, i64),
        panes: &Panes<'_, K, V>,
        merge: &impl Fn(&mut V, V::View<'_>),
    ) {
        while self.front.pop_if(|(pane, _)| *pane < start).is_some() {}
        if self.front.is_empty() {
            self.back.clear();
            self.flip(start, panes, merge);
        }
        for pane in panes.starts(self.until.max(start), end) {
            panes.merge_into(&mut self.back, pane, merge);
        }
        self.until = end;
    }

    /// What came since the last flip is the new front.
    fn flip<K: Key>(
        &mut self,
        start: i64,
        panes: &Panes<'_, K, V>,
        merge: &impl Fn(&mut V, V::View<'_>),
    ) {
        for pane in panes.starts(start, self.until).into_iter().rev() {
            let mut table = KeyTable::new();
            panes.merge_into(&mut table, pane, merge);
            if let Some((_, newer)) = self.front.last() {
                let newer = newer.iter().map(|(key, hash, value)| (key, hash, value.view()));
                table.upsert_rows(newer, V::own, |acc, v| merge(acc, v));
            }
            self.front.push((pane, table));
        }
    }

    /// The keys of the window, in order.
    pub(super) fn each(
        &self,
        merge: &impl Fn(&mut V, V::View<'_>),
        mut take: impl for<'a> FnMut(&'a [u8], V::View<'a>),
    ) {
        let front = self.front.last().map(|(_, table)| table);
        for (key, hash, value) in front.into_iter().flat_map(KeyTable::iter) {
            match self.back.find(key, hash) {
                None => take(key, value.view()),
                Some(found) => {
                    let mut both = V::own(value.view());
                    merge(&mut both, self.back.value(found).view());
                    take(key, both.view());
                }
            }
        }
        for (key, hash, value) in self.back.iter() {
            if front.is_none_or(|front| front.find(key, hash).is_none()) {
                take(key, value.view());
            }
        }
    }
}
