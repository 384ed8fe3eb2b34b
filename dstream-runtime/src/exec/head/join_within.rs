//! Joins by event time: records of two streams that have the same key, and times that differ by no more than is asked
//! for. Each pair is emitted once, in the batch that brings the later of both; its time is the greater of the two.
//!
//! Both sides are kept by key, in the order of their times, until the watermark says that no record can meet them any
//! more. Then outer joins emit what has met nothing. A record behind the watermark of the batch before is late: what it
//! would have met may be gone, so it is left out and counted.
//!
//! Invariant: the sides of a key are sorted by time; those of equal times are in the order in which they came.

use std::collections::BTreeSet;
use std::marker::PhantomData;
use std::ops::Range;

use super::keyed_state::KeyedState;
use super::{TaskContext, blocks};
use crate::block::{Block, BlockDecoder, BufferPool, KeyedRow, RowsBuilder};
use crate::exec::event_time::UNKNOWN;
use crate::exec::stage::Head;
use crate::exec::state::{Keep, Step};
use crate::exec::table::KeyTable;
use crate::exec::task::{SavedState, TaskError};
use crate::record::{Key, KeyReader, Record};

/// By how much the time of the other record may differ: from `earliest` to `latest`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Within {
    /// The least difference, in milliseconds.
    pub earliest: i64,
    /// The greatest difference.
    pub latest: i64,
}

impl Within {
    /// The times of right records that a left one meets.
    fn of_left(self, time: i64) -> (i64, i64) {
        (time + self.earliest, time + self.latest)
    }

    /// The times of left records that a right one meets.
    fn of_right(self, time: i64) -> (i64, i64) {
        (time - self.latest, time - self.earliest)
    }
}

/// What pairs and records without a partner become.
pub trait Sides<K: Key, L: Record, R: Record>: Send + Sync + 'static {
    /// What is emitted.
    type Record: Record;

    /// A pair.
    fn pair<'a>(
        key: K::View<'a>,
        left: L::View<'a>,
        right: R::View<'a>,
    ) -> <Self::Record as Record>::View<'a>;

    /// A left record that has met nothing.
    fn left<'a>(_: K::View<'a>, _: L::View<'a>) -> Option<<Self::Record as Record>::View<'a>> {
        None
    }

    /// A right record that has met nothing.
    fn right<'a>(_: K::View<'a>, _: R::View<'a>) -> Option<<Self::Record as Record>::View<'a>> {
        None
    }
}

/// `join_within`: the pairs.
pub struct Both;

/// `left_outer_join_within`: also left records without a right one.
pub struct Left;

/// `full_outer_join_within`: also the records of each side without one of the other.
pub struct Full;

impl<K: Key, L: Record, R: Record> Sides<K, L, R> for Both {
    type Record = (K, (L, R));

    fn pair<'a>(
        key: K::View<'a>,
        left: L::View<'a>,
        right: R::View<'a>,
    ) -> (K::View<'a>, (L::View<'a>, R::View<'a>)) {
        (key, (left, right))
    }
}

impl<K: Key, L: Record, R: Record> Sides<K, L, R> for Left {
    type Record = (K, (L, Option<R>));

    fn pair<'a>(
        key: K::View<'a>,
        left: L::View<'a>,
        right: R::View<'a>,
    ) -> (K::View<'a>, (L::View<'a>, Option<R::View<'a>>)) {
        (key, (left, Some(right)))
    }

    fn left<'a>(
        key: K::View<'a>,
        left: L::View<'a>,
    ) -> Option<(K::View<'a>, (L::View<'a>, Option<R::View<'a>>))> {
        Some((key, (left, None)))
    }
}

impl<K: Key, L: Record, R: Record> Sides<K, L, R> for Full {
    type Record = (K, (Option<L>, Option<R>));

    fn pair<'a>(
        key: K::View<'a>,
        left: L::View<'a>,
        right: R::View<'a>,
    ) -> (K::View<'a>, (Option<L::View<'a>>, Option<R::View<'a>>)) {
        (key, (Some(left), Some(right)))
    }

    fn left<'a>(
        key: K::View<'a>,
        left: L::View<'a>,
    ) -> Option<(K::View<'a>, (Option<L::View<'a>>, Option<R::View<'a>>))> {
        Some((key, (Some(left), None)))
    }

    fn right<'a>(
        key: K::View<'a>,
        right: R::View<'a>,
    ) -> Option<(K::View<'a>, (Option<L::View<'a>>, Option<R::View<'a>>))> {
        Some((key, (None, Some(right))))
    }
}

/// Joins two streams by key and time.
pub struct JoinWithin<K, L, R, S> {
    pub(crate) within: Within,
    pub(crate) types: PhantomData<Types<K, L, R, S>>,
}

type Types<K, L, R, S> = fn() -> (K, L, R, S);

/// A record that is kept: its time, whether it has met another one, and its value.
type Waiting<V> = (i64, bool, V);

/// What is kept of a key, of both sides.
type Held<L, R> = (Vec<Waiting<L>>, Vec<Waiting<R>>);

/// What a batch brings of a key.
pub(super) struct Arrived<L, R> {
    new: Held<L, R>,
    /// The places of records that were kept and have met one of the batch.
    met: (Vec<u32>, Vec<u32>),
}

impl<L, R> Default for Arrived<L, R> {
    fn default() -> Self {
        Self { new: (Vec::new(), Vec::new()), met: (Vec::new(), Vec::new()) }
    }
}

/// The records that may still be met, and the watermark of the last batch.
pub struct Kept<K, L, R> {
    held: KeyedState<K, Held<L, R>>,
    closed: i64,
}

impl<K, L, R> Default for Kept<K, L, R> {
    fn default() -> Self {
        Self { held: KeyedState::default(), closed: UNKNOWN }
    }
}

/// What a batch does to that.
pub struct Meeting<L, R> {
    batch: KeyTable<Arrived<L, R>>,
    /// The entries of which something is over.
    due: Vec<(u64, u32)>,
    watermark: i64,
}

/// A time as one that is never negative, in the same order.
fn unsigned(time: i64) -> u64 {
    (time as u64) ^ (1 << 63)
}

/// The places of the records whose times lie between two.
fn between<V>(side: &[Waiting<V>], (first, last): (i64, i64)) -> Range<usize> {
    let start = side.partition_point(|(time, ..)| *time < first);
    start..side.partition_point(|(time, ..)| *time <= last).max(start)
}

impl<K: Key, L: Record, R: Record, S: Sides<K, L, R>> JoinWithin<K, L, R, S> {
    /// What the batch brings, by key, sorted by time; what is late is counted.
    fn arrived(
        cx: &mut TaskContext<'_>,
        closed: i64,
    ) -> Result<KeyTable<Arrived<L, R>>, TaskError> {
        let (mut batch, mut late) = (KeyTable::<Arrived<L, R>>::new(), 0);
        for block in blocks(cx, 0) {
            let block = block.get()?;
            take::<L, R, L>(&block, closed, &mut batch, &mut late, |arrived, time, value| {
                arrived.new.0.push((time, false, L::own(value)));
            })?;
        }
        for block in blocks(cx, 1) {
            let block = block.get()?;
            take::<L, R, R>(&block, closed, &mut batch, &mut late, |arrived, time, value| {
                arrived.new.1.push((time, false, R::own(value)));
            })?;
        }
        cx.made.late += late;
        for entry in 0..batch.len() as u32 {
            let (left, right) = &mut batch.value_mut(entry).new;
            left.sort_by_key(|(time, ..)| *time);
            right.sort_by_key(|(time, ..)| *time);
        }
        Ok(batch)
    }

    /// Emits the pairs of a key that have a record of the batch, and notes what has met one.
    fn pairs(
        &self,
        key: &[u8],
        (lefts, rights): (&[Waiting<L>], &[Waiting<R>]),
        arrived: &mut Arrived<L, R>,
        emit: &mut impl for<'a> FnMut((i64, <S::Record as Record>::View<'a>)),
    ) {
        let Arrived { new: (new_left, new_right), met } = arrived;
        let mut pair = |left: &Waiting<L>, right: &Waiting<R>| {
            let key = K::read(&mut KeyReader::new(key));
            emit((left.0.max(right.0), S::pair(key, left.2.view(), right.2.view())));
        };
        for left in new_left.iter_mut() {
            let times = self.within.of_left(left.0);
            for at in between(rights, times) {
                (left.1, _) = (true, met.1.push(at as u32));
                pair(left, &rights[at]);
            }
            let meets = between(new_right, times);
            for right in &mut new_right[meets] {
                (left.1, right.1) = (true, true);
                pair(left, right);
            }
        }
        for right in new_right.iter_mut() {
            for at in between(lefts, self.within.of_right(right.0)) {
                (right.1, _) = (true, met.0.push(at as u32));
                pair(&lefts[at], right);
            }
        }
        for met in [&mut met.0, &mut met.1] {
            met.sort_unstable();
            met.dedup();
        }
    }

    /// Emits the records of a key whose time is over and that have met nothing.
    fn unmatched(
        &self,
        key: &[u8],
        (lefts, rights): (&[Waiting<L>], &[Waiting<R>]),
        met: (&[u32], &[u32]),
        watermark: i64,
        emit: &mut impl for<'a> FnMut((i64, <S::Record as Record>::View<'a>)),
    ) {
        let read = || K::read(&mut KeyReader::new(key));
        let alone = |met: &[u32], at: usize, has_met: bool| {
            !has_met && met.binary_search(&(at as u32)).is_err()
        };
        for (at, (time, has_met, value)) in lefts.iter().enumerate() {
            let over = self.left_over(*time, watermark) && alone(met.0, at, *has_met);
            if let Some(record) = over.then(|| S::left(read(), value.view())).flatten() {
                emit((*time, record));
            }
        }
        for (at, (time, has_met, value)) in rights.iter().enumerate() {
            let over = self.right_over(*time, watermark) && alone(met.1, at, *has_met);
            if let Some(record) = over.then(|| S::right(read(), value.view())).flatten() {
                emit((*time, record));
            }
        }
    }

    /// Whether no right record can come that a left one of that time would meet.
    fn left_over(&self, time: i64, watermark: i64) -> bool {
        self.within.of_left(time).1 < watermark
    }

    /// The same the other way round.
    fn right_over(&self, time: i64, watermark: i64) -> bool {
        self.within.of_right(time).1 < watermark
    }

    /// The watermark, made unsigned, at which the first record of a key is over.
    fn due(&self, (lefts, rights): &Held<L, R>) -> Option<u64> {
        let left = lefts.first().map(|(time, ..)| self.within.of_left(*time).1);
        let right = rights.first().map(|(time, ..)| self.within.of_right(*time).1);
        left.into_iter().chain(right).min().map(|last| unsigned(last + 1))
    }

    /// Takes what has come into what is kept, and out of it what is over.
    fn keep(&self, (lefts, rights): &mut Held<L, R>, arrived: Arrived<L, R>, watermark: i64) {
        let Arrived { new: (new_left, new_right), met } = arrived;
        met.0.into_iter().for_each(|at| lefts[at as usize].1 = true);
        met.1.into_iter().for_each(|at| rights[at as usize].1 = true);
        lefts.extend(new_left);
        rights.extend(new_right);
        lefts.sort_by_key(|(time, ..)| *time);
        rights.sort_by_key(|(time, ..)| *time);
        lefts.retain(|(time, ..)| !self.left_over(*time, watermark));
        rights.retain(|(time, ..)| !self.right_over(*time, watermark));
    }
}

/// Gives the rows of a block that are not late to `push`.
fn take<L, R, V: Record>(
    block: &Block,
    closed: i64,
    batch: &mut KeyTable<Arrived<L, R>>,
    late: &mut u64,
    push: impl Fn(&mut Arrived<L, R>, i64, V::View<'_>),
) -> Result<(), TaskError> {
    for KeyedRow { key, hash, value: (time, value) } in block.keyed::<(i64, V)>()? {
        if time < closed {
            *late += 1;
            continue;
        }
        let (entry, _) = batch.upsert_with(key, hash, (), |()| Arrived::default(), |_, ()| ());
        push(batch.value_mut(entry), time, value);
    }
    Ok(())
}

/// The watermark of a batch.
fn watermark(cx: &TaskContext<'_>) -> Result<i64, TaskError> {
    let mut latest = UNKNOWN;
    for block in blocks(cx, 2) {
        latest = block.get()?.rows::<i64>()?.iter().max().unwrap_or(UNKNOWN).max(latest);
    }
    Ok(latest)
}

impl<K: Key, L: Record, R: Record, S: Sides<K, L, R>> Head for JoinWithin<K, L, R, S> {
    type Record = (i64, S::Record);
    type State = Kept<K, L, R>;
    type Change = Meeting<L, R>;

    fn run(
        &self,
        cx: &mut TaskContext<'_>,
        state: &mut Self::State,
        mut emit: impl for<'a> FnMut((i64, <S::Record as Record>::View<'a>)),
    ) -> Result<Self::Change, TaskError> {
        let watermark = watermark(cx)?.max(state.closed);
        let mut batch = Self::arrived(cx, state.closed)?;
        let due = state.held.due(unsigned(watermark), |held| self.due(held));
        let nothing: Held<L, R> = (Vec::new(), Vec::new());
        for entry in 0..batch.len() as u32 {
            let mut arrived = std::mem::take(batch.value_mut(entry));
            let (key, hash) = (batch.key(entry), batch.hash(entry));
            let (lefts, rights) = state.held.get(key, hash).unwrap_or(&nothing);
            self.pairs(key, (lefts, rights), &mut arrived, &mut emit);
            *batch.value_mut(entry) = arrived;
        }
        // Those that were kept first, in the order in which they are over; then those of this batch.
        for (_, entry) in &due {
            let (key, hash, (lefts, rights)) = state.held.at(*entry);
            let arrived = batch.find(key, hash).map(|entry| &batch.value(entry).met);
            let met = arrived.map_or((&[][..], &[][..]), |(l, r)| (l.as_slice(), r.as_slice()));
            self.unmatched(key, (lefts, rights), met, watermark, &mut emit);
        }
        for (key, _, arrived) in batch.iter() {
            let (lefts, rights) = &arrived.new;
            self.unmatched(key, (lefts, rights), (&[], &[]), watermark, &mut emit);
        }
        Ok(Meeting { batch, due, watermark })
    }

    fn commit(&self, _: &TaskContext<'_>, state: &mut Self::State, change: Self::Change) {
        let Meeting { mut batch, due, watermark } = change;
        let (mut over, mut rest) = (BTreeSet::new(), Vec::new());
        batch.drain(|key, hash, arrived| {
            let held = &mut state.held;
            let entry = held.entry(key, hash, || (Vec::new(), Vec::new()));
            held.alter(entry, |held| {
                self.keep(held, arrived, watermark);
                self.due(held)
            });
            over.insert(entry);
        });
        for (_, entry) in due.into_iter().filter(|(_, entry)| !over.contains(entry)) {
            state.held.alter(entry, |held| {
                self.keep(held, Arrived::default(), watermark);
                self.due(held)
            });
            rest.push(entry);
        }
        for entry in over.into_iter().chain(rest) {
            let (.., (lefts, rights)) = state.held.at(entry);
            if lefts.is_empty() && rights.is_empty() {
                state.held.remove_at(entry);
            }
        }
        state.held.tidy();
        state.closed = watermark;
    }
}

/// The tag of the watermark; those of the keys are smaller.
const CLOSED: u64 = 1 << 32;

impl<K: Key, L: Record, R: Record> Kept<K, L, R> {
    /// With the watermark.
    fn with_closed(&self, mut saved: SavedState) -> Result<SavedState, TaskError> {
        let mut rows = RowsBuilder::<i64>::new(&BufferPool::new(0), 1);
        rows.push(self.closed)?;
        saved.parts.extend(rows.finish().into_iter().map(|block| (CLOSED, block.into())));
        Ok(saved)
    }

    /// Takes the watermark out of what was saved; the rest.
    fn take_closed(&mut self, saved: &SavedState) -> Result<SavedState, TaskError> {
        let mut rest = Vec::new();
        for (tag, block) in &saved.parts {
            if *tag != CLOSED {
                rest.push((*tag, block.clone()));
                continue;
            }
            self.closed = block.get()?.rows::<i64>()?.iter().max().unwrap_or(UNKNOWN);
        }
        Ok(SavedState { parts: rest, steps: saved.steps.clone() })
    }
}

impl<K: Key, L: Record, R: Record> Keep for Kept<K, L, R> {
    fn save(&self) -> Result<SavedState, TaskError> {
        self.with_closed(self.held.save()?)
    }

    fn changes(&self) -> Result<Option<SavedState>, TaskError> {
        self.held.changes()?.map(|changes| self.with_closed(changes)).transpose()
    }

    fn mark(&mut self) {
        self.held.mark();
    }

    fn load(whole: &SavedState) -> Result<Option<Self>, TaskError> {
        let mut state = Self::default();
        let rest = state.take_closed(whole)?;
        Ok(KeyedState::load(&rest)?.map(|held| Self { held, ..state }))
    }

    fn apply(&mut self, changes: &SavedState, _: &mut Step<'_, Self>) -> Result<(), TaskError> {
        let rest = self.take_closed(changes)?;
        self.held.take_in(&rest)
    }

    fn door(tag: u64) -> Option<BlockDecoder> {
        match tag {
            CLOSED => Some(Block::open_rows::<i64>),
            tag => <KeyedState<K, Held<L, R>> as Keep>::door(tag),
        }
    }
}
