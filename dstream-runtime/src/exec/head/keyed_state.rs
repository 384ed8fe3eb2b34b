//! The state of an operator that keeps a value per key: its table, what of it has changed, and how it is saved.
//!
//! An operator that keeps something per key has this as its state, and needs no code to save, mark and load it.

use std::marker::PhantomData;

use super::save::{load_table, save_table};
use super::touched::Touched;
use crate::block::{Block, BlockDecoder};
use crate::exec::state::{Keep, Step};
use crate::exec::table::KeyTable;
use crate::exec::task::{SavedState, TaskError};
use crate::record::{Key, Record};
use crate::store::KeptBlock;

/// The value of every key, in the order in which the keys came.
pub struct KeyedState<K, V> {
    table: KeyTable<V>,
    touched: Touched,
    key: PhantomData<fn() -> K>,
}

impl<K, V> Default for KeyedState<K, V> {
    fn default() -> Self {
        Self { table: KeyTable::new(), touched: Touched::default(), key: PhantomData }
    }
}

impl<K: Key, V: Record> KeyedState<K, V> {
    /// The value of a key.
    #[inline]
    pub(super) fn get(&self, key: &[u8], hash: u64) -> Option<&V> {
        self.table.find(key, hash).map(|entry| self.table.value(entry))
    }

    /// Gives a key a value.
    #[inline]
    pub(super) fn put(&mut self, key: &[u8], hash: u64, value: V::View<'_>) {
        let (entry, _) =
            self.table.upsert_with(key, hash, value, V::own, |old, value| *old = V::own(value));
        self.touched.touch(entry);
    }

    /// All keys, in the order in which they came.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], u64, &V)> {
        self.table.iter()
    }

    fn saved(&self, entries: impl Iterator<Item = u32>) -> Result<SavedState, TaskError> {
        let table = &self.table;
        let entries = entries.map(|at| (table.key(at), table.hash(at), table.value(at).view()));
        let blocks = save_table::<K, V>(entries)?;
        Ok(SavedState::whole(blocks.into_iter().map(|block| (0, block.into())).collect()))
    }

    /// Takes the values of a block in.
    pub(super) fn take_in(&mut self, block: &KeptBlock) -> Result<(), TaskError> {
        load_table(&mut self.table, block)
    }
}

impl<K: Key, V: Record> Keep for KeyedState<K, V> {
    fn save(&self) -> Result<SavedState, TaskError> {
        // Nothing is ever removed, so entries have the numbers in which they came.
        self.saved(0..self.table.len() as u32)
    }

    /// The new values of keys. Those that are new stand behind the others, in the table's order, so that they come
    /// into the table in that order again.
    fn changes(&self) -> Result<Option<SavedState>, TaskError> {
        let entries = self.table.len();
        let Some(changed) = self.touched.since_last_but_one(entries) else { return Ok(None) };
        if changed.len() > entries / 2 {
            // All of it says hardly more, and is loaded faster.
            return Ok(None);
        }
        self.saved(changed.into_iter()).map(Some)
    }

    fn mark(&mut self) {
        self.touched.mark(self.table.len());
    }

    fn load(whole: &SavedState) -> Result<Option<Self>, TaskError> {
        let mut state = Self::default();
        whole.parts.iter().try_for_each(|(_, block)| state.take_in(block))?;
        Ok(Some(state))
    }

    fn apply(&mut self, changes: &SavedState, _: &mut Step<'_, Self>) -> Result<(), TaskError> {
        changes.parts.iter().try_for_each(|(_, block)| self.take_in(block))
    }

    fn door(tag: u64) -> Option<BlockDecoder> {
        (tag == 0).then_some(Block::open_keyed::<K, V>)
    }
}
