//! `running_reduce`: the previous value of every key, merged with this batch's.

use std::marker::PhantomData;
use std::sync::Arc;

use super::merge::Merging;
use super::save::{load_table, save_table};
use super::{TaskContext, blocks};
use crate::block::{Block, Door};
use crate::exec::stage::Head;
use crate::exec::table::KeyTable;
use crate::exec::task::{SavedState, State, TaskError};
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
    /// The new values of the keys that the batch touched.
    type Change = Box<KeyTable<V>>;

    fn run(
        &self,
        cx: &mut TaskContext<'_>,
        mut emit: impl for<'a> FnMut((K::View<'a>, V::View<'a>)),
    ) -> Result<Self::Change, TaskError> {
        let mut batch = self.merging.table(blocks(cx, 0))?;
        let before = cx.state.as_ref().and_then(|state| state.downcast_ref::<KeyTable<V>>());
        for index in 0..batch.len() as u32 {
            if let Some(before) = before
                && let Some(found) = before.find(batch.key(index), batch.hash(index))
            {
                let mut value = V::own(before.value(found).view());
                (self.merging.merge)(&mut value, batch.value(index).view());
                *batch.value_mut(index) = value;
            }
            emit((K::read(&mut KeyReader::new(batch.key(index))), batch.value(index).view()));
        }
        Ok(batch)
    }

    fn commit(&self, cx: &mut TaskContext<'_>, change: Self::Change) {
        let state = cx.state.get_or_insert_with(|| Box::new(KeyTable::<V>::new()));
        let Some(state) = state.downcast_mut::<KeyTable<V>>() else { return };
        for (key, hash, value) in change.iter() {
            state.upsert_with(
                key,
                hash,
                value,
                |v| V::own(v.view()),
                |old, v| *old = V::own(v.view()),
            );
        }
        self.merging.give_back(change);
    }

    fn save(&self, state: &State) -> Result<SavedState, TaskError> {
        let Some(table) = state.downcast_ref::<KeyTable<V>>() else {
            return Ok(SavedState::default());
        };
        let entries = table.iter().map(|(key, hash, value)| (key, hash, value.view()));
        let blocks = save_table::<K, V>(entries)?;
        Ok(SavedState { parts: blocks.into_iter().map(|block| (0, block.into())).collect() })
    }

    fn load(&self, saved: &SavedState) -> Result<Option<State>, TaskError> {
        let mut table = KeyTable::<V>::new();
        for (_, block) in &saved.parts {
            load_table(&mut table, block)?;
        }
        Ok(Some(Box::new(table)))
    }

    fn state_door(&self, tag: u64) -> Option<Door> {
        (tag == 0).then_some(Block::open_keyed::<K, V>)
    }
}
