//! The state of an operator that keeps a value per key: its table, what of it has changed, which keys are due, and
//! how it is saved.
//!
//! An operator that keeps something per key has this as its state, and needs no code to save, mark and load it, and
//! none to find what expires.
//!
//! Invariant: what is loaded (all of it, then each change) is the same as what was saved, in the same order.

use std::marker::PhantomData;

use super::due::Due;
use super::save::{load_table, save_table};
use super::touched::{GONE, Touched};
use crate::block::{Block, BlockDecoder, KeyedRow};
use crate::exec::state::{Keep, Step};
use crate::exec::table::KeyTable;
use crate::exec::task::{SavedState, TaskError};
use crate::record::{Key, Record};
use crate::store::KeptBlock;

/// The value of every key, in the order in which the keys came. A key that is removed and comes again is new.
pub struct KeyedState<K, V> {
    table: KeyTable<V>,
    touched: Touched,
    /// None until it is asked for.
    due: Option<Due>,
    key: PhantomData<fn() -> K>,
}

impl<K, V> Default for KeyedState<K, V> {
    fn default() -> Self {
        let (table, touched) = (KeyTable::new(), Touched::default());
        Self { table, touched, due: None, key: PhantomData }
    }
}

impl<K: Key, V: Record> KeyedState<K, V> {
    /// A state that has these values and was marked before they came.
    pub(super) fn new(table: KeyTable<V>, marks: usize) -> Self {
        let mut state = Self::default();
        (0..marks).for_each(|_| state.mark());
        state.table = table;
        state
    }

    /// The value of a key.
    #[inline]
    pub(super) fn get(&self, key: &[u8], hash: u64) -> Option<&V> {
        self.table.find(key, hash).map(|entry| self.table.value(entry))
    }

    /// Keys, hashes and values, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], u64, &V)> {
        self.table.iter()
    }

    /// The key, its hash and the value of an entry that is due.
    pub(super) fn at(&self, entry: u32) -> (&[u8], u64, &V) {
        (self.table.key(entry), self.table.hash(entry), self.table.value(entry))
    }

    /// Gives a key a value.
    #[inline]
    pub(super) fn put(&mut self, key: &[u8], hash: u64, value: V::View<'_>) {
        self.set(key, hash, value);
    }

    /// Gives a key a value which is due at a time, if ever.
    #[inline]
    pub(super) fn put_due(&mut self, key: &[u8], hash: u64, value: V::View<'_>, at: Option<u64>) {
        let entry = self.set(key, hash, value);
        if let (Some(due), Some(at)) = (&mut self.due, at) {
            due.want(entry, at);
        }
    }

    /// The same with a value that is given away.
    pub(super) fn replace(&mut self, key: &[u8], hash: u64, value: V, at: Option<u64>) {
        let put = |old: &mut V, value| *old = value;
        let (entry, _) = self.table.upsert_with(key, hash, value, |value| value, put);
        self.touched.touch(entry);
        if let (Some(due), Some(at)) = (&mut self.due, at) {
            due.want(entry, at);
        }
    }

    #[inline]
    fn set(&mut self, key: &[u8], hash: u64, value: V::View<'_>) -> u32 {
        let (entry, _) =
            self.table.upsert_with(key, hash, value, V::own, |old, value| *old = V::own(value));
        self.touched.touch(entry);
        entry
    }

    /// The entry of a key, which is made if the key is not there.
    pub(super) fn entry(&mut self, key: &[u8], hash: u64, new: impl FnOnce() -> V) -> u32 {
        let (entry, _) = self.table.upsert_with(key, hash, (), |()| new(), |_, ()| ());
        entry
    }

    /// Changes the value of an entry in its place; `change` says when it is due, if ever.
    pub(super) fn alter(&mut self, entry: u32, change: impl FnOnce(&mut V) -> Option<u64>) {
        let at = change(self.table.value_mut(entry));
        self.touched.touch(entry);
        if let (Some(due), Some(at)) = (&mut self.due, at) {
            due.want(entry, at);
        }
    }

    /// Removes a key, if it is there. The entries of others keep their numbers until [`tidy`](Self::tidy).
    pub(super) fn remove(&mut self, key: &[u8], hash: u64) {
        if let Some(entry) = self.table.find(key, hash) {
            self.remove_at(entry);
        }
    }

    /// Removes an entry, if it is there.
    pub(super) fn remove_at(&mut self, entry: u32) {
        if self.table.is_live(entry) {
            self.touched.remove(self.table.key(entry), self.table.hash(entry));
            self.table.remove_at(entry);
        }
    }

    /// The entries that are due by `now`, in the order of their times, then of their keys in the state. `when` says
    /// of a value when it is due, if ever; it says the same of a value each time. Changes nothing that can be seen.
    pub(super) fn due(&mut self, now: u64, when: impl Fn(&V) -> Option<u64>) -> Vec<(u64, u32)> {
        let table = &self.table;
        let of = |entry: u32| match table.is_live(entry) {
            true => when(table.value(entry)),
            false => None,
        };
        let due = self.due.get_or_insert_with(|| {
            let mut due = Due::default();
            let entries = (0..table.slots()).filter_map(|entry| Some((entry, of(entry)?)));
            entries.for_each(|(entry, at)| due.want(entry, at));
            due
        });
        due.by(now, of)
    }

    /// Frees the places of removed entries, once there are many: entries may get other numbers.
    pub(super) fn tidy(&mut self) {
        if !self.table.is_loose() {
            return;
        }
        let mut next = 0;
        let new = (0..self.table.slots()).map(|entry| match self.table.is_live(entry) {
            true => {
                next += 1;
                next - 1
            }
            false => GONE,
        });
        let new: Vec<u32> = new.collect();
        self.table.tighten();
        self.touched.renumber(&new);
        if let Some(due) = &mut self.due {
            due.renumber(&new);
        }
    }

    fn values(&self, entries: impl Iterator<Item = u32>) -> Result<Vec<Block>, TaskError> {
        let table = &self.table;
        let live = entries.filter(|entry| table.is_live(*entry));
        save_table::<K, V>(live.map(|at| (table.key(at), table.hash(at), table.value(at).view())))
    }

    /// Takes in what was saved.
    pub(super) fn take_in(&mut self, saved: &SavedState) -> Result<(), TaskError> {
        // It is made anew when it is asked for.
        self.due = None;
        for (tag, block) in &saved.parts {
            match *tag {
                REMOVED => self.take_out(block)?,
                _ => load_table(&mut self.table, block)?,
            }
        }
        if self.table.is_loose() {
            self.table.tighten();
        }
        Ok(())
    }

    /// Takes the values of a block in, of a state that nothing is removed from.
    pub(super) fn add(&mut self, block: &KeptBlock) -> Result<(), TaskError> {
        load_table(&mut self.table, block)
    }

    fn take_out(&mut self, block: &KeptBlock) -> Result<(), TaskError> {
        for KeyedRow { key, hash, .. } in block.get()?.keyed::<bool>()? {
            if let Some(entry) = self.table.find(key, hash) {
                self.table.remove_at(entry);
            }
        }
        Ok(())
    }
}

/// The tag of a block of values.
const VALUES: u64 = 0;
/// The tag of a block of removed keys. These blocks come first.
const REMOVED: u64 = 1;

/// Blocks with a tag.
fn tagged(tag: u64, blocks: Vec<Block>) -> impl Iterator<Item = (u64, KeptBlock)> {
    blocks.into_iter().map(move |block| (tag, block.into()))
}

impl<K: Key, V: Record> Keep for KeyedState<K, V> {
    fn save(&self) -> Result<SavedState, TaskError> {
        let values = self.values(0..self.table.slots())?;
        Ok(SavedState::whole(tagged(VALUES, values).collect()))
    }

    /// The keys that were removed, then the new values of keys. Those that are new, or are there again, stand behind
    /// the others, in the table's order, so that they come into the table in that order again.
    fn changes(&self) -> Result<Option<SavedState>, TaskError> {
        let slots = self.table.slots() as usize;
        let Some(changed) = self.touched.since_last_but_one(slots) else { return Ok(None) };
        let removed = self.touched.removed().map(|(key, hash)| (key, hash, true));
        let removed: Vec<_> = removed.collect();
        let live = changed.iter().filter(|entry| self.table.is_live(**entry)).count();
        if removed.len() + live > self.table.len() / 2 {
            // All of it says hardly more, and is loaded faster.
            return Ok(None);
        }
        let removed = save_table::<K, bool>(removed.into_iter())?;
        let values = self.values(changed.into_iter())?;
        Ok(Some(SavedState::whole(
            tagged(REMOVED, removed).chain(tagged(VALUES, values)).collect(),
        )))
    }

    fn mark(&mut self) {
        self.touched.mark(self.table.slots() as usize);
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
        match tag {
            VALUES => Some(Block::open_keyed::<K, V>),
            REMOVED => Some(Block::open_keyed::<K, bool>),
            _ => None,
        }
    }
}
