//! `running_reduce` and `latest_by_key` whose keys are forgotten when they were not touched for a time.
//!
//! A key is forgotten before the records of a batch are taken in, in the first batch whose time is more than the
//! timeout later than the batch that touched the key last. So a record that comes later than that finds nothing,
//! whether there was a batch in between or not.

use std::marker::PhantomData;
use std::sync::Arc;

use super::keyed_state::KeyedState;
use super::merge::Merging;
use super::{TaskContext, blocks};
use crate::exec::stage::Head;
use crate::exec::table::KeyTable;
use crate::exec::task::TaskError;
use crate::record::{Key, KeyReader, Record};

/// The first time at which a key is forgotten that was touched last at `touched`.
pub(super) fn forgotten_at(touched: u64, timeout: u64) -> u64 {
    touched.saturating_add(timeout).saturating_add(1)
}

/// Merges the batch by key, then with what is not forgotten of the state; emits the keys that the batch touched.
pub struct Expiring<K, V, F> {
    merging: Merging<V, F>,
    /// In milliseconds.
    timeout: u64,
    key: PhantomData<fn(K)>,
}

impl<K, V: Record, F> Expiring<K, V, F>
where
    F: Fn(&mut V, V::View<'_>) + Send + Sync + 'static,
{
    pub(crate) fn new(merge: Arc<F>, timeout: u64) -> Self {
        Self { merging: Merging::new(merge), timeout, key: PhantomData }
    }
}

/// What a batch does to a state whose keys are forgotten.
pub struct Renewal<V> {
    /// The entries that are forgotten.
    forgotten: Vec<(u64, u32)>,
    /// The new values of the keys that the batch touched.
    touched: Box<KeyTable<V>>,
}

impl<K: Key, V: Record, F> Head for Expiring<K, V, F>
where
    F: Fn(&mut V, V::View<'_>) + Send + Sync + 'static,
{
    type Record = (K, V);
    /// The values and the times of the batches that touched them last.
    type State = KeyedState<K, (V, u64)>;
    type Change = Renewal<V>;

    fn run(
        &self,
        cx: &mut TaskContext<'_>,
        before: &mut Self::State,
        mut emit: impl for<'a> FnMut((K::View<'a>, V::View<'a>)),
    ) -> Result<Self::Change, TaskError> {
        let now = cx.time.millis();
        let forgotten = before.due(now, |(_, at)| Some(forgotten_at(*at, self.timeout)));
        let mut batch = self.merging.table(blocks(cx, 0))?;
        for index in 0..batch.len() as u32 {
            let found = before.get(batch.key(index), batch.hash(index));
            let found = found.filter(|(_, at)| forgotten_at(*at, self.timeout) > now);
            if let Some((found, _)) = found {
                let mut value = V::own(found.view());
                (self.merging.merge)(&mut value, batch.value(index).view());
                *batch.value_mut(index) = value;
            }
            emit((K::read(&mut KeyReader::new(batch.key(index))), batch.value(index).view()));
        }
        Ok(Renewal { forgotten, touched: batch })
    }

    fn commit(&self, cx: &TaskContext<'_>, state: &mut Self::State, change: Self::Change) {
        let now = cx.time.millis();
        for (_, entry) in change.forgotten {
            state.remove_at(entry);
        }
        for (key, hash, value) in change.touched.iter() {
            let at = Some(forgotten_at(now, self.timeout));
            state.put_due(key, hash, (value.view(), now), at);
        }
        state.tidy();
        self.merging.give_back(change.touched);
    }
}
