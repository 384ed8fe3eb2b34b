//! `running_reduce`: the previous value of every key, merged with this batch's.

use std::marker::PhantomData;
use std::sync::Arc;

use super::keyed_state::KeyedState;
use super::merge::Merging;
use super::{TaskContext, blocks};
use crate::exec::stage::Head;
use crate::exec::table::KeyTable;
use crate::exec::task::TaskError;
use crate::record::{Key, KeyReader, Record};

/// Merges the batch by key, then with the state; emits the keys that the batch touched.
pub struct Running<K, V, F> {
    merging: Merging<V, F>,
    key: PhantomData<fn(K)>,
}

impl<K, V: Record, F> Running<K, V, F>
where
    F: Fn(&mut V, V::View<'_>) + Send + Sync + 'static,
{
    pub(crate) fn new(merge: Arc<F>) -> Self {
        Self { merging: Merging::new(merge), key: PhantomData }
    }
}

impl<K: Key, V: Record, F> Head for Running<K, V, F>
where
    F: Fn(&mut V, V::View<'_>) + Send + Sync + 'static,
{
    type Record = (K, V);
    type State = KeyedState<K, V>;
    /// The new values of the keys that the batch touched.
    type Change = Box<KeyTable<V>>;

    fn run(
        &self,
        cx: &mut TaskContext<'_>,
        before: &mut KeyedState<K, V>,
        mut emit: impl for<'a> FnMut((K::View<'a>, V::View<'a>)),
    ) -> Result<Self::Change, TaskError> {
        let mut batch = self.merging.table(blocks(cx, 0))?;
        for index in 0..batch.len() as u32 {
            if let Some(found) = before.get(batch.key(index), batch.hash(index)) {
                let mut value = V::own(found.view());
                (self.merging.merge)(&mut value, batch.value(index).view());
                *batch.value_mut(index) = value;
            }
            emit((K::read(&mut KeyReader::new(batch.key(index))), batch.value(index).view()));
        }
        Ok(batch)
    }

    fn commit(&self, _: &TaskContext<'_>, state: &mut KeyedState<K, V>, change: Self::Change) {
        for (key, hash, value) in change.iter() {
            state.put(key, hash, value.view());
        }
        self.merging.give_back(change);
    }
}
