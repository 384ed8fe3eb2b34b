//! Joins of a stream with a table: every record of the stream meets all that the table has of its key, as of its
//! batch, and not only what that batch brought.
//!
//! The state is the table, by key. What a batch brings of the table is there for the stream's records of the same
//! batch. Two kinds of table ([`Kept`]): one keeps every row, another the last row of each key.

use std::marker::PhantomData;

use super::expiring::forgotten_at;
use super::keyed_state::KeyedState;
use super::side::{Side, held};
use super::{TaskContext, blocks};
use crate::block::KeyedRow;
use crate::exec::stage::Head;
use crate::exec::table::KeyTable;
use crate::exec::task::TaskError;
use crate::record::{Key, KeyReader, List, Record};

/// What a table keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// Every row, in order.
    Rows,
    /// The last row of each key: for ever, or until no row of the key came for more than that many milliseconds.
    Latest(Option<u64>),
}

impl Kept {
    /// When a key is forgotten whose last row came at a time.
    fn forgets(self, touched: u64) -> Option<u64> {
        match self {
            Self::Rows | Self::Latest(None) => None,
            Self::Latest(Some(timeout)) => Some(forgotten_at(touched, timeout)),
        }
    }
}

/// What becomes of a record that meets the rows of its key.
pub trait Meet<K: Key, R: Record>: Send + Sync + 'static {
    /// The values of the stream.
    type Left: Record;
    /// What is emitted.
    type Record: Record;

    /// Emits what a value and the rows of its key make.
    fn meet<'a>(
        key: K::View<'a>,
        left: <Self::Left as Record>::View<'a>,
        rows: impl Iterator<Item = R::View<'a>>,
        emit: &mut impl FnMut(<Self::Record as Record>::View<'a>),
    );
}

/// `join`: the pairs.
pub struct Inner<L>(PhantomData<fn() -> L>);

/// `left_outer_join`: the pairs, and the records that meet nothing.
pub struct Outer<L>(PhantomData<fn() -> L>);

/// `subtract_by_key`: the records that meet nothing.
pub struct Absent<L>(PhantomData<fn() -> L>);

/// The same of records that have a time or a window, which what is emitted has too.
pub struct Timed<T, M>(PhantomData<fn() -> (T, M)>);

impl<K: Key, L: Record, R: Record> Meet<K, R> for Inner<L> {
    type Left = L;
    type Record = (K, (L, R));

    fn meet<'a>(
        key: K::View<'a>,
        left: L::View<'a>,
        rows: impl Iterator<Item = R::View<'a>>,
        emit: &mut impl FnMut((K::View<'a>, (L::View<'a>, R::View<'a>))),
    ) {
        rows.for_each(|row| emit((key, (left, row))));
    }
}

impl<K: Key, L: Record, R: Record> Meet<K, R> for Outer<L> {
    type Left = L;
    type Record = (K, (L, Option<R>));

    fn meet<'a>(
        key: K::View<'a>,
        left: L::View<'a>,
        rows: impl Iterator<Item = R::View<'a>>,
        emit: &mut impl FnMut((K::View<'a>, (L::View<'a>, Option<R::View<'a>>))),
    ) {
        let mut rows = rows.peekable();
        if rows.peek().is_none() {
            return emit((key, (left, None)));
        }
        rows.for_each(|row| emit((key, (left, Some(row)))));
    }
}

impl<K: Key, L: Record, R: Record> Meet<K, R> for Absent<L> {
    type Left = L;
    type Record = (K, L);

    fn meet<'a>(
        key: K::View<'a>,
        left: L::View<'a>,
        mut rows: impl Iterator<Item = R::View<'a>>,
        emit: &mut impl FnMut((K::View<'a>, L::View<'a>)),
    ) {
        if rows.next().is_none() {
            emit((key, left));
        }
    }
}

impl<K: Key, R: Record, T: Record, M: Meet<K, R>> Meet<K, R> for Timed<T, M> {
    type Left = (T, M::Left);
    type Record = (T, M::Record);

    fn meet<'a>(
        key: K::View<'a>,
        (time, left): (T::View<'a>, <M::Left as Record>::View<'a>),
        rows: impl Iterator<Item = R::View<'a>>,
        emit: &mut impl FnMut((T::View<'a>, <M::Record as Record>::View<'a>)),
    ) {
        M::meet(key, left, rows, &mut |record| emit((time, record)));
    }
}

/// Joins records with a table by key.
pub struct TableJoin<K, R, M> {
    kept: Kept,
    types: PhantomData<Types<K, R, M>>,
}

type Types<K, R, M> = fn() -> (K, R, M);

impl<K, R, M> TableJoin<K, R, M> {
    pub(crate) fn new(kept: Kept) -> Self {
        Self { kept, types: PhantomData }
    }
}

/// The rows of a key, and the time of the batch that brought the last one.
type Rows<R> = (Vec<R>, u64);

/// What a batch does to a table.
pub struct Update<R> {
    /// The entries that are forgotten.
    forgotten: Vec<(u64, u32)>,
    /// The rows that the batch brought.
    brought: KeyTable<Vec<R>>,
}

impl<K: Key, R: Record, M: Meet<K, R>> TableJoin<K, R, M> {
    /// What the batch brings of the table: of a table that keeps the last row, only that.
    fn brought(&self, cx: &TaskContext<'_>) -> Result<KeyTable<Vec<R>>, TaskError> {
        let blocks = held(blocks(cx, 1))?;
        let side = Side::<R>::of(&blocks)?;
        let mut brought = KeyTable::new();
        for entry in side.entries() {
            let mut rows = Vec::new();
            side.list(Some(entry), &mut rows);
            if matches!(self.kept, Kept::Latest(_)) {
                rows.drain(..rows.len() - 1);
            }
            let (key, hash) = side.key(entry);
            brought.upsert_with(key, hash, rows, |rows| rows, |_, _| ());
        }
        Ok(brought)
    }

    /// What the table had of a key before the batch, as far as it still counts.
    fn before<'s>(
        &self,
        state: &'s KeyedState<K, Rows<R>>,
        (key, hash): (&[u8], u64),
        now: u64,
    ) -> &'s [R] {
        match state.get(key, hash) {
            Some((rows, touched)) if self.kept.forgets(*touched).is_none_or(|at| at > now) => rows,
            _ => &[],
        }
    }
}

impl<K: Key, R: Record, M: Meet<K, R>> Head for TableJoin<K, R, M> {
    type Record = M::Record;
    type State = KeyedState<K, Rows<R>>;
    type Change = Update<R>;

    fn run(
        &self,
        cx: &mut TaskContext<'_>,
        state: &mut Self::State,
        mut emit: impl for<'a> FnMut(<M::Record as Record>::View<'a>),
    ) -> Result<Self::Change, TaskError> {
        let now = cx.time.millis();
        let forgotten = match self.kept {
            Kept::Latest(Some(_)) => state.due(now, |(_, touched)| self.kept.forgets(*touched)),
            _ => Vec::new(),
        };
        let brought = self.brought(cx)?;
        let left = held(blocks(cx, 0))?;
        for block in &left {
            for KeyedRow { key, hash, value } in block.keyed::<M::Left>()? {
                let new = brought.find(key, hash).map(|entry| brought.value(entry).as_slice());
                let before = match (self.kept, new) {
                    (Kept::Latest(_), Some(_)) => &[],
                    _ => self.before(state, (key, hash), now),
                };
                let rows = before.iter().chain(new.unwrap_or_default()).map(R::view);
                M::meet(K::read(&mut KeyReader::new(key)), value, rows, &mut emit);
            }
        }
        Ok(Update { forgotten, brought })
    }

    fn commit(&self, cx: &TaskContext<'_>, state: &mut Self::State, change: Self::Change) {
        let now = cx.time.millis();
        for (_, entry) in change.forgotten {
            state.remove_at(entry);
        }
        let mut brought = change.brought;
        brought.drain(|key, hash, new| {
            let mut rows = match (self.kept, state.get(key, hash)) {
                (Kept::Rows, Some((before, _))) => Vec::own(List::Owned(before)),
                _ => Vec::new(),
            };
            rows.extend(new);
            state.replace(key, hash, (rows, now), self.kept.forgets(now));
        });
        state.tidy();
    }
}
