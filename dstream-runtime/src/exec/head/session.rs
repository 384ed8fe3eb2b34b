//! Sessions of event time: per key, the reduction of records that are less than a gap apart, once the watermark has
//! passed the end of the session, one gap after its last record.
//!
//! The state is the open sessions of each key, in order; no two of them are less than a gap apart. What a batch brings
//! is taken in in the order of its times, so that neither the order of its records nor how they are spread over batches
//! changes what is one session. Records that would be a session of their own that has ended are late, and counted.

use std::marker::PhantomData;
use std::sync::Arc;

use super::event_window::watermark;
use super::keyed_state::KeyedState;
use super::side::{Side, held};
use super::{TaskContext, blocks};
use crate::block::{Block, BlockDecoder, BufferPool, RowsBuilder};
use crate::exec::event_time::{Bounds, UNKNOWN};
use crate::exec::stage::Head;
use crate::exec::state::{Keep, Step};
use crate::exec::task::{SavedState, TaskError};
use crate::record::{Key, KeyReader, Record};

/// Reduces sessions by key with `F`.
pub struct SessionReduce<K, V, F> {
    /// For how long a session waits for its next record, in milliseconds.
    pub(crate) gap: i64,
    pub(crate) merge: Arc<F>,
    pub(crate) types: PhantomData<fn() -> (K, V)>,
}

/// A session: the times of its first and its last record, and what its values were reduced to.
type Session<V> = (i64, i64, V);

/// The open sessions of every key.
pub struct OpenSessions<K, V> {
    keys: KeyedState<K, Vec<Session<V>>>,
    /// The watermark of the last batch: sessions that end by then have been emitted.
    closed: i64,
}

impl<K, V> Default for OpenSessions<K, V> {
    fn default() -> Self {
        Self { keys: KeyedState::default(), closed: UNKNOWN }
    }
}

/// What a batch changes: the open sessions of the keys that it touches or that are due, and the watermark.
pub struct Advance<V> {
    keys: Vec<Touched<V>>,
    watermark: i64,
}

/// A key, its hash, and its open sessions.
struct Touched<V> {
    key: Vec<u8>,
    hash: u64,
    open: Vec<Session<V>>,
}

/// A session that is put together.
struct Growing<V> {
    session: Session<V>,
    /// How many records of the batch are in it.
    records: u64,
    /// Whether it was open before the batch.
    was_open: bool,
}

/// A time in the order of numbers without sign, in which keys are due.
fn order(time: i64) -> u64 {
    (time as u64) ^ (1 << 63)
}

impl<K: Key, V: Record, F> SessionReduce<K, V, F>
where
    F: Fn(&mut V, V::View<'_>) + Send + Sync + 'static,
{
    fn end(&self, session: &Session<V>) -> i64 {
        session.1 + self.gap
    }

    /// When the first session of a key ends.
    fn due(&self, sessions: &[Session<V>]) -> Option<u64> {
        sessions.first().map(|session| order(self.end(session)))
    }

    /// The sessions of a key, in order, of those that were open and of the values of a batch, which are in order.
    fn joined<'v>(
        &self,
        before: &[Session<V>],
        rows: impl Iterator<Item = (i64, V::View<'v>)>,
    ) -> Vec<Growing<V>> {
        let mut joined: Vec<Growing<V>> = Vec::with_capacity(before.len() + 1);
        let mut before = before.iter().peekable();
        for (time, value) in rows {
            while let Some((first, last, value)) = before.next_if(|session| session.0 <= time) {
                self.join(&mut joined, (*first, *last), value.view(), true);
            }
            self.join(&mut joined, (time, time), value, false);
        }
        for (first, last, value) in before {
            self.join(&mut joined, (*first, *last), value.view(), true);
        }
        joined
    }

    /// Takes in a session that was open, or a record, none of which begins earlier than what was taken in.
    fn join(
        &self,
        joined: &mut Vec<Growing<V>>,
        (first, last): (i64, i64),
        value: V::View<'_>,
        is_open: bool,
    ) {
        let records = u64::from(!is_open);
        match joined.last_mut().filter(|before| first < self.end(&before.session)) {
            Some(before) => {
                before.session.1 = before.session.1.max(last);
                (self.merge)(&mut before.session.2, value);
                before.records += records;
                before.was_open |= is_open;
            }
            None => {
                let session = (first, last, V::own(value));
                joined.push(Growing { session, records, was_open: is_open });
            }
        }
    }
}

/// Sessions that close in a batch, with their keys.
type Closing<V> = Vec<(Vec<u8>, Session<V>)>;

impl<K: Key, V: Record, F> Head for SessionReduce<K, V, F>
where
    F: Fn(&mut V, V::View<'_>) + Send + Sync + 'static,
{
    type Record = (Bounds, (K, V));
    type State = OpenSessions<K, V>;
    type Change = Advance<V>;

    fn run(
        &self,
        cx: &mut TaskContext<'_>,
        state: &mut OpenSessions<K, V>,
        mut emit: impl for<'a> FnMut((Bounds, (K::View<'a>, V::View<'a>))),
    ) -> Result<Advance<V>, TaskError> {
        let watermark = watermark(cx)?.unwrap_or(UNKNOWN).max(state.closed);
        let held = held(blocks(cx, 0))?;
        let side = Side::<(i64, V)>::of(&held)?;
        let (mut closing, mut keys) = (Closing::new(), Vec::new());
        let mut late = 0;
        for entry in side.entries() {
            let (key, hash) = side.key(entry);
            let mut rows: Vec<_> = side.rows(entry).collect();
            rows.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| V::compare(a.1, b.1)));
            let before = state.keys.get(key, hash).map_or(&[][..], Vec::as_slice);
            let mut open = Vec::new();
            for Growing { session, records, was_open } in self.joined(before, rows.into_iter()) {
                let end = self.end(&session);
                if end <= state.closed && !was_open {
                    late += records;
                } else if end <= watermark {
                    closing.push((key.to_vec(), session));
                } else {
                    open.push(session);
                }
            }
            keys.push(Touched { key: key.to_vec(), hash, open });
        }
        cx.made.late += late;
        for (_, entry) in state.keys.due(order(watermark), |sessions| self.due(sessions)) {
            let (key, hash, sessions) = state.keys.at(entry);
            if side.find(key, hash).is_some() {
                continue;
            }
            let own = |(first, last, value): &Session<V>| (*first, *last, V::own(value.view()));
            let ended = sessions.partition_point(|session| self.end(session) <= watermark);
            let (ended, open) = sessions.split_at(ended);
            closing.extend(ended.iter().map(|session| (key.to_vec(), own(session))));
            keys.push(Touched { key: key.to_vec(), hash, open: open.iter().map(own).collect() });
        }
        closing.sort_by(|(a, s), (b, t)| (s.1, s.0, a).cmp(&(t.1, t.0, b)));
        for (key, session) in &closing {
            let bounds = (session.0, self.end(session));
            emit((bounds, (K::read(&mut KeyReader::new(key)), session.2.view())));
        }
        Ok(Advance { keys, watermark })
    }

    fn commit(&self, _: &TaskContext<'_>, state: &mut OpenSessions<K, V>, change: Advance<V>) {
        for Touched { key, hash, open } in change.keys {
            if open.is_empty() {
                state.keys.remove(&key, hash);
            } else {
                let due = self.due(&open);
                state.keys.replace(&key, hash, open, due);
            }
        }
        state.keys.tidy();
        state.closed = change.watermark;
    }
}

/// The tag of the watermark; keyed state has those below.
const CLOSED: u64 = 16;

impl<K: Key, V: Record> OpenSessions<K, V> {
    /// What is saved of the keys, with the watermark.
    fn saved(&self, keys: SavedState) -> Result<SavedState, TaskError> {
        let mut closed = RowsBuilder::<i64>::new(&BufferPool::new(0), 1);
        closed.push(self.closed)?;
        let closed = closed.finish().into_iter().map(|block| (CLOSED, block.into()));
        Ok(SavedState::whole(keys.parts.into_iter().chain(closed).collect()))
    }

    /// Takes the watermark of what was saved, and gives back what is of the keys.
    fn split(&mut self, saved: &SavedState) -> Result<SavedState, TaskError> {
        let mut keys = Vec::new();
        for (tag, block) in &saved.parts {
            match *tag {
                CLOSED => {
                    let rows = block.get()?;
                    self.closed = rows.rows::<i64>()?.iter().next().unwrap_or(self.closed);
                }
                _ => keys.push((*tag, block.clone())),
            }
        }
        Ok(SavedState { parts: keys, steps: saved.steps.clone() })
    }
}

impl<K: Key, V: Record> Keep for OpenSessions<K, V> {
    fn save(&self) -> Result<SavedState, TaskError> {
        self.saved(self.keys.save()?)
    }

    fn changes(&self) -> Result<Option<SavedState>, TaskError> {
        self.keys.changes()?.map(|keys| self.saved(keys)).transpose()
    }

    fn mark(&mut self) {
        self.keys.mark();
    }

    fn load(whole: &SavedState) -> Result<Option<Self>, TaskError> {
        let mut state = Self::default();
        let keys = state.split(whole)?;
        state.keys = KeyedState::load(&keys)?.unwrap_or_default();
        Ok(Some(state))
    }

    fn apply(&mut self, changes: &SavedState, _: &mut Step<'_, Self>) -> Result<(), TaskError> {
        let keys = self.split(changes)?;
        self.keys.apply(&keys, &mut |_, _, _| Ok(()))
    }

    fn door(tag: u64) -> Option<BlockDecoder> {
        match tag {
            CLOSED => Some(Block::open_rows::<i64>),
            _ => KeyedState::<K, Vec<Session<V>>>::door(tag),
        }
    }
}
