//! `reduce_by_key_and_window` by event time: per window and key, the reduction of its records, once the watermark has
//! passed the window's end.
//!
//! The state is a table per pane that some open window spans. A batch's records are merged into the tables of their
//! panes, whatever their order; records of panes that no open window spans are late, and counted. Panes that no open
//! window spans are forgotten. Three ways to reduce: windows that do not overlap are a pane each; overlapping ones go
//! by two stacks of panes ([`stacks`]), or over floats are folded anew.

mod stacks;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::marker::PhantomData;
use std::sync::Arc;

use self::stacks::{Panes, Stacks};
use super::keyed_state::KeyedState;
use super::touched::MARKS;
use super::{TaskContext, blocks};
use crate::block::{Block, BlockDecoder, BufferPool, KeyedRow, RowsBuilder};
use crate::exec::event_time::{Bounds, UNKNOWN, Windows};
use crate::exec::stage::Head;
use crate::exec::state::{Keep, Step};
use crate::exec::table::KeyTable;
use crate::exec::tail::{PANE_BYTES, PaneCount};
use crate::exec::task::{SavedState, TaskError};
use crate::record::{Key, KeyReader, Record};

/// Reduces event-time windows by key with `F`.
pub struct EventWindow<K, V, F> {
    pub(crate) windows: Windows,
    pub(crate) merge: Arc<F>,
    pub(crate) types: PhantomData<fn() -> (K, V)>,
}

/// The panes that open windows span, by their start.
pub struct OpenPanes<K, V> {
    panes: BTreeMap<i64, KeyedState<K, V>>,
    /// The watermark of the last batch: windows that end by then have been emitted.
    closed: i64,
    /// The start of the first pane that an open window may span.
    first: i64,
    /// How often it was marked, up to [`MARKS`].
    marks: usize,
    /// The window that closed last, where windows overlap: made of the panes.
    stacks: Option<Stacks<V>>,
}

impl<K, V> Default for OpenPanes<K, V> {
    fn default() -> Self {
        Self { panes: BTreeMap::new(), closed: UNKNOWN, first: UNKNOWN, marks: 0, stacks: None }
    }
}

/// What a batch brings: per pane, the new values of the keys that it touches.
type Brought<V> = BTreeMap<i64, KeyTable<V>>;

/// The new values, and the watermark.
pub struct Advance<V> {
    brought: Brought<V>,
    watermark: i64,
    stacks: Option<Stacks<V>>,
}

impl<K: Key, V: Record, F> EventWindow<K, V, F>
where
    F: Fn(&mut V, V::View<'_>) + Send + Sync + 'static,
{
    /// Merges what the batch has, by pane, and counts what is late.
    fn batch(&self, cx: &mut TaskContext<'_>, closed: i64) -> Result<Brought<V>, TaskError> {
        let mut brought = Brought::new();
        let is_late = |pane: i64| self.windows.last_end(pane) <= closed;
        for block in blocks(cx, 0) {
            let block = block.get()?;
            if let Ok(counts) = block.rows::<PaneCount>() {
                let late = counts.iter().filter(|(pane, _)| is_late(*pane));
                cx.made.late += late.map(|(_, records)| records).sum::<u64>();
                continue;
            }
            let mut rows = block.keyed::<V>()?.iter().map(by_pane).peekable();
            while let Some((pane, _)) = rows.peek() {
                let pane = *pane;
                let run = std::iter::from_fn(|| rows.next_if(|(of, _)| *of == pane));
                let run = run.map(|(_, row)| row);
                if is_late(pane) {
                    run.for_each(drop);
                    continue;
                }
                let table = brought.entry(pane).or_default();
                table.upsert_rows(run, V::own, |acc, v| (self.merge)(acc, v));
            }
        }
        Ok(brought)
    }

    /// Merges what the panes have with what the batch brings.
    fn add(&self, state: &OpenPanes<K, V>, brought: &mut Brought<V>) {
        for (pane, table) in brought {
            let Some(before) = state.panes.get(pane) else { continue };
            for index in 0..table.len() as u32 {
                if let Some(found) = before.get(table.key(index), table.hash(index)) {
                    let mut value = V::own(found.view());
                    (self.merge)(&mut value, table.value(index).view());
                    *table.value_mut(index) = value;
                }
            }
        }
    }

    /// The ends of the windows that close, in order.
    fn closing(&self, state: &OpenPanes<K, V>, brought: &Brought<V>, watermark: i64) -> Vec<i64> {
        let Windows { length, slide, .. } = self.windows;
        // The last end that is no later than a time.
        let by = |time: i64| (time - length).div_euclid(slide) * slide + length;
        let panes: BTreeSet<i64> = state.panes.keys().chain(brought.keys()).copied().collect();
        // In order of the panes, so each end is found once however many panes its window spans.
        let mut ends: Vec<i64> = Vec::new();
        for pane in panes {
            let (first, last) = (self.windows.first_end(pane), self.windows.last_end(pane));
            // So neither is unknown where an end is computed of it.
            if watermark < first {
                continue;
            }
            let first = if state.closed < first { first } else { by(state.closed) + slide };
            let last = if watermark >= last { last } else { by(watermark) };
            let mut end = ends.last().map_or(first, |found| first.max(found + slide));
            while end <= last {
                ends.push(end);
                end += slide;
            }
        }
        ends
    }

    /// Emits windows that do not overlap: each is one pane.
    fn emit_panes(
        &self,
        panes: &Panes<'_, K, V>,
        ends: &[i64],
        emit: &mut impl for<'a> FnMut((Bounds, (K::View<'a>, V::View<'a>))),
    ) {
        for end in ends {
            let bounds = (end - self.windows.length, *end);
            let (before, new) = (panes.state.panes.get(&bounds.0), panes.brought.get(&bounds.0));
            each(before, new, |key, _, value| {
                emit((bounds, (K::read(&mut KeyReader::new(key)), value.view())));
            });
        }
    }

    /// Emits windows that overlap, of values that may be merged in groups.
    fn emit_stacks(
        &self,
        panes: &Panes<'_, K, V>,
        mut stacks: Option<Stacks<V>>,
        ends: &[i64],
        emit: &mut impl for<'a> FnMut((Bounds, (K::View<'a>, V::View<'a>))),
    ) -> Option<Stacks<V>> {
        stacks = stacks.filter(|stacks| stacks.holds_with(panes.brought));
        for end in ends {
            let bounds = (end - self.windows.length, *end);
            let stacks = stacks.get_or_insert_with(|| Stacks::new(bounds.0));
            stacks.slide(bounds, panes, &*self.merge);
            stacks.each(&*self.merge, |key, value| {
                emit((bounds, (K::read(&mut KeyReader::new(key)), value)));
            });
        }
        stacks
    }

    /// Emits windows that overlap, each folded anew, oldest pane first: sums of floats depend on the order.
    fn emit_folded(
        &self,
        panes: &Panes<'_, K, V>,
        ends: &[i64],
        emit: &mut impl for<'a> FnMut((Bounds, (K::View<'a>, V::View<'a>))),
    ) {
        for end in ends {
            let bounds = (end - self.windows.length, *end);
            let mut whole = KeyTable::new();
            for pane in panes.starts(bounds.0, *end) {
                panes.merge_into(&mut whole, pane, &*self.merge);
            }
            for (key, _, value) in whole.iter() {
                emit((bounds, (K::read(&mut KeyReader::new(key)), value.view())));
            }
        }
    }
}

/// The pane of a row, and the row without it.
fn by_pane<'b, V: Record>(row: KeyedRow<'b, V>) -> (i64, (&'b [u8], u64, V::View<'b>)) {
    let KeyedRow { key, hash, value } = row;
    match key.split_first_chunk::<PANE_BYTES>() {
        Some((pane, key)) => (i64::from_le_bytes(*pane), (key, hash, value)),
        None => (0, (key, hash, value)),
    }
}

/// The keys of a pane: those that were there, with their new values if they have any, and then those that are new.
fn each<K: Key, V: Record>(
    before: Option<&KeyedState<K, V>>,
    brought: Option<&KeyTable<V>>,
    mut take: impl FnMut(&[u8], u64, &V),
) {
    for (key, hash, value) in before.into_iter().flat_map(KeyedState::iter) {
        let new = brought.and_then(|table| Some(table.value(table.find(key, hash)?)));
        take(key, hash, new.unwrap_or(value));
    }
    for (key, hash, value) in brought.into_iter().flat_map(KeyTable::iter) {
        if before.is_none_or(|before| before.get(key, hash).is_none()) {
            take(key, hash, value);
        }
    }
}

/// The watermark of a batch.
pub(super) fn watermark(cx: &TaskContext<'_>) -> Result<Option<i64>, TaskError> {
    let mut latest = None;
    for block in blocks(cx, 1) {
        latest = latest.max(block.get()?.rows::<i64>()?.iter().max());
    }
    Ok(latest)
}

impl<K: Key, V: Record, F> Head for EventWindow<K, V, F>
where
    F: Fn(&mut V, V::View<'_>) + Send + Sync + 'static,
{
    type Record = (Bounds, (K, V));
    type State = OpenPanes<K, V>;
    type Change = Advance<V>;

    fn run(
        &self,
        cx: &mut TaskContext<'_>,
        state: &mut OpenPanes<K, V>,
        mut emit: impl for<'a> FnMut((Bounds, (K::View<'a>, V::View<'a>))),
    ) -> Result<Advance<V>, TaskError> {
        let watermark = watermark(cx)?.unwrap_or(UNKNOWN).max(state.closed);
        let mut brought = self.batch(cx, state.closed)?;
        self.add(state, &mut brought);
        // Taken out: if the task fails, they are made anew.
        let stacks = state.stacks.take();
        let ends = self.closing(state, &brought, watermark);
        let panes = Panes { state, brought: &brought };
        let stacks = if self.windows.length == self.windows.pane() {
            self.emit_panes(&panes, &ends, &mut emit);
            None
        } else if V::EXACT {
            self.emit_stacks(&panes, stacks, &ends, &mut emit)
        } else {
            self.emit_folded(&panes, &ends, &mut emit);
            None
        };
        Ok(Advance { brought, watermark, stacks })
    }

    fn commit(&self, _: &TaskContext<'_>, state: &mut OpenPanes<K, V>, change: Advance<V>) {
        let Advance { brought, watermark, stacks } = change;
        state.stacks = stacks;
        let is_open = |pane: &i64| self.windows.last_end(*pane) > watermark;
        for (pane, table) in brought.into_iter().filter(|(pane, _)| is_open(pane)) {
            let marks = state.marks;
            match state.panes.entry(pane) {
                Entry::Occupied(mut kept) => {
                    let kept = kept.get_mut();
                    for (key, hash, value) in table.iter() {
                        kept.put(key, hash, value.view());
                    }
                }
                Entry::Vacant(place) => drop(place.insert(KeyedState::new(table, marks))),
            }
        }
        while state.panes.first_key_value().is_some_and(|(pane, _)| !is_open(pane)) {
            state.panes.pop_first();
        }
        state.closed = watermark;
        state.first = state.panes.first_key_value().map_or(UNKNOWN, |(pane, _)| *pane);
    }
}

/// The tag of what is no pane: the watermark, and the first pane.
const REST: u64 = 0;

/// The tag of a pane.
fn tag(pane: i64) -> u64 {
    (pane as u64) ^ (1 << 63)
}

impl<K: Key, V: Record> OpenPanes<K, V> {
    fn saved(
        &self,
        of: impl Fn(&KeyedState<K, V>) -> Result<SavedState, TaskError>,
    ) -> Result<SavedState, TaskError> {
        let mut rest = RowsBuilder::<Bounds>::new(&BufferPool::new(0), 1);
        rest.push((self.closed, self.first))?;
        let mut parts: Vec<_> =
            rest.finish().into_iter().map(|block| (REST, block.into())).collect();
        for (pane, state) in &self.panes {
            let blocks = of(state)?.parts.into_iter();
            parts.extend(blocks.map(|(_, block)| (tag(*pane), block)));
        }
        Ok(SavedState::whole(parts))
    }

    fn take_in(&mut self, saved: &SavedState) -> Result<(), TaskError> {
        for (tag, block) in &saved.parts {
            if *tag == REST {
                for (closed, first) in block.get()?.rows::<Bounds>()?.iter() {
                    (self.closed, self.first) = (closed, first);
                }
                let first = if self.first == UNKNOWN { i64::MAX } else { self.first };
                self.panes = self.panes.split_off(&first);
            } else {
                let pane = (tag ^ (1 << 63)) as i64;
                self.panes.entry(pane).or_default().add(block)?;
            }
        }
        Ok(())
    }
}

impl<K: Key, V: Record> Keep for OpenPanes<K, V> {
    fn save(&self) -> Result<SavedState, TaskError> {
        self.saved(Keep::save)
    }

    fn changes(&self) -> Result<Option<SavedState>, TaskError> {
        if self.marks < MARKS {
            return Ok(None);
        }
        self.saved(|pane| pane.changes()?.map_or_else(|| pane.save(), Ok)).map(Some)
    }

    fn mark(&mut self) {
        self.marks = (self.marks + 1).min(MARKS);
        self.panes.values_mut().for_each(Keep::mark);
    }

    fn load(whole: &SavedState) -> Result<Option<Self>, TaskError> {
        let mut state = Self::default();
        state.take_in(whole)?;
        Ok(Some(state))
    }

    fn apply(&mut self, changes: &SavedState, _: &mut Step<'_, Self>) -> Result<(), TaskError> {
        self.take_in(changes)
    }

    fn door(tag: u64) -> Option<BlockDecoder> {
        Some(match tag {
            REST => Block::open_rows::<Bounds>,
            _ => Block::open_keyed::<K, V>,
        })
    }
}
