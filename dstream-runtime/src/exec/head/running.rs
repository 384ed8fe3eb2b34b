//! `running_reduce`: the previous value of every key, merged with this batch's.

use std::marker::PhantomData;
use std::sync::Arc;

use super::merge::Merging;
use super::save::{load_table, save_table};
use super::touched::Touched;
use super::{TaskContext, blocks};
use crate::block::{Block, BlockDecoder};
use crate::exec::stage::Head;
use crate::exec::table::KeyTable;
use crate::exec::task::{SavedState, TaskError};
use crate::record::{Key, KeyReader, Record};

/// The state: the value of every key.
pub struct Values<V> {
    table: KeyTable<V>,
    touched: Touched,
}

impl<V> Default for Values<V> {
    fn default() -> Self {
        Self { table: KeyTable::new(), touched: Touched::default() }
    }
}

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
    type State = Values<V>;
    /// The new values of the keys that the batch touched.
    type Change = Box<KeyTable<V>>;

    fn run(
        &self,
        cx: &mut TaskContext<'_>,
        Values { table: before, .. }: &mut Values<V>,
        mut emit: impl for<'a> FnMut((K::View<'a>, V::View<'a>)),
    ) -> Result<Self::Change, TaskError> {
        let mut batch = self.merging.table(blocks(cx, 0))?;
        for index in 0..batch.len() as u32 {
            if let Some(found) = before.find(batch.key(index), batch.hash(index)) {
                let mut value = V::own(before.value(found).view());
                (self.merging.merge)(&mut value, batch.value(index).view());
                *batch.value_mut(index) = value;
            }
            emit((K::read(&mut KeyReader::new(batch.key(index))), batch.value(index).view()));
        }
        Ok(batch)
    }

    fn commit(&self, _: &TaskContext<'_>, state: &mut Values<V>, change: Self::Change) {
        let Values { table, touched } = state;
        for (key, hash, value) in change.iter() {
            let (entry, _) = table.upsert_with(
                key,
                hash,
                value,
                |v| V::own(v.view()),
                |old, v| *old = V::own(v.view()),
            );
            touched.touch(entry);
        }
        self.merging.give_back(change);
    }

    fn save(&self, Values { table, .. }: &Values<V>) -> Result<SavedState, TaskError> {
        let entries = table.iter().map(|(key, hash, value)| (key, hash, value.view()));
        Ok(saved(save_table::<K, V>(entries)?))
    }

    /// The new values of keys. Those that are new stand behind the others, in the table's order, so that they come
    /// into the table in that order again.
    fn changes(&self, state: &Values<V>) -> Result<Option<SavedState>, TaskError> {
        let Values { table, touched } = state;
        let Some(changed) = touched.since_last_but_one(table.len()) else { return Ok(None) };
        if changed.len() > table.len() / 2 {
            // All of it says hardly more, and is loaded faster.
            return Ok(None);
        }
        let entries = changed.into_iter();
        let entries = entries.map(|at| (table.key(at), table.hash(at), table.value(at).view()));
        Ok(Some(saved(save_table::<K, V>(entries)?)))
    }

    fn mark(&self, Values { table, touched }: &mut Values<V>) {
        touched.mark(table.len());
    }

    fn load(&self, chain: &[SavedState]) -> Result<Option<Values<V>>, TaskError> {
        let mut values = Values::<V>::default();
        for (_, block) in chain.iter().flat_map(|saved| &saved.parts) {
            load_table(&mut values.table, block)?;
        }
        Ok(Some(values))
    }

    fn state_door(&self, tag: u64) -> Option<BlockDecoder> {
        (tag == 0).then_some(Block::open_keyed::<K, V>)
    }
}

fn saved(blocks: Vec<Block>) -> SavedState {
    SavedState::whole(blocks.into_iter().map(|block| (0, block.into())).collect())
}
