//! `distinct_within` and `distinct_by`: the first record of every key, for as long as the key is remembered.

use std::marker::PhantomData;
use std::sync::Arc;

use super::expiring::forgotten_at;
use super::keyed_state::KeyedState;
use super::merge::Merging;
use super::{TaskContext, blocks};
use crate::exec::stage::Head;
use crate::exec::table::KeyTable;
use crate::exec::task::TaskError;
use crate::record::{Key, KeyReader, Record};

/// How long a key is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remembered {
    /// For ever.
    Always,
    /// That many milliseconds from its first record on.
    FromFirst(u64),
    /// That many milliseconds from its last record on.
    FromLast(u64),
}

impl Remembered {
    /// When a key of that time is forgotten.
    fn until(self, at: u64) -> Option<u64> {
        match self {
            Self::Always => None,
            Self::FromFirst(ms) | Self::FromLast(ms) => Some(forgotten_at(at, ms)),
        }
    }
}

/// Emits a key's first record in the batch, if the key is not remembered.
pub struct Firsts<K, V, F> {
    merging: Merging<V, F>,
    remembered: Remembered,
    key: PhantomData<fn(K)>,
}

impl<K, V: Record, F> Firsts<K, V, F>
where
    F: Fn(&mut V, V::View<'_>) + Send + Sync + 'static,
{
    pub(crate) fn new(first: Arc<F>, remembered: Remembered) -> Self {
        Self { merging: Merging::new(first), remembered, key: PhantomData }
    }
}

/// What a batch does to the keys that are remembered.
pub struct Seen<V> {
    /// The entries that are forgotten.
    forgotten: Vec<(u64, u32)>,
    /// The keys of the batch.
    keys: Box<KeyTable<V>>,
}

impl<K: Key, V: Record, F> Head for Firsts<K, V, F>
where
    F: Fn(&mut V, V::View<'_>) + Send + Sync + 'static,
{
    type Record = (K, V);
    /// The time of the batch from which on a key is remembered.
    type State = KeyedState<K, u64>;
    type Change = Seen<V>;

    fn run(
        &self,
        cx: &mut TaskContext<'_>,
        before: &mut Self::State,
        mut emit: impl for<'a> FnMut((K::View<'a>, V::View<'a>)),
    ) -> Result<Self::Change, TaskError> {
        let now = cx.time.millis();
        let forgotten = match self.remembered {
            Remembered::Always => Vec::new(),
            _ => before.due(now, |at| self.remembered.until(*at)),
        };
        let keys = self.merging.table(blocks(cx, 0))?;
        for (key, hash, value) in keys.iter() {
            if !self.knows(before, key, hash, now) {
                emit((K::read(&mut KeyReader::new(key)), value.view()));
            }
        }
        Ok(Seen { forgotten, keys })
    }

    fn commit(&self, cx: &TaskContext<'_>, state: &mut Self::State, change: Self::Change) {
        let now = cx.time.millis();
        for (_, entry) in change.forgotten {
            state.remove_at(entry);
        }
        let renews = matches!(self.remembered, Remembered::FromLast(_));
        for (key, hash, _) in change.keys.iter() {
            if renews || state.get(key, hash).is_none() {
                state.put_due(key, hash, now, self.remembered.until(now));
            }
        }
        state.tidy();
        self.merging.give_back(change.keys);
    }
}

impl<K: Key, V: Record, F> Firsts<K, V, F> {
    fn knows(&self, state: &KeyedState<K, u64>, key: &[u8], hash: u64, now: u64) -> bool {
        let until = |at: &u64| self.remembered.until(*at);
        state.get(key, hash).is_some_and(|at| until(at).is_none_or(|until| until > now))
    }
}
