//! Records of an event-time window: combined by pane and key before they are shuffled.
//!
//! The panes of a task are numbered as they come, and a key in the task's table is the record's key with its pane's
//! number behind it: two bytes, so that short keys stay short. Blocks hold the start of the pane before the key, and
//! the hash of the key alone: a key goes to one partition, whatever its pane.
//!
//! How many records each pane had goes to the first partition beside: those of panes that have closed are counted
//! there, as late.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::{Arc, OnceLock};

use super::combine::{KeyForm, Segments, Work, form};
use super::rows::Growing;
use super::{Slot, Tail, TailMade, TaskContext, TaskError};
use crate::block::{Block, BlockDecoder, Bytes, DecodeError, HEADER_LEN, Kind, Preamble};
use crate::exec::job::Pool;
use crate::exec::table::hash_key;
use crate::id::Partition;
use crate::record::{AsPair, Key, Record};

/// The start of a pane, before the key of a row.
pub(crate) const PANE_BYTES: usize = 8;

/// How many records of a task were in a pane: its start, and their number.
pub(crate) type PaneCount = (i64, u64);

/// Merges records of the same pane and key with `F`.
pub struct CombinePanes<K, V: Record, F> {
    recipe: Arc<PanesRecipe<V, F>>,
    work: Box<Work<V>>,
    panes: Numbered,
    key: PhantomData<fn(K)>,
}

/// What the tasks of such a tail share.
pub struct PanesRecipe<V, F> {
    key: OnceLock<KeyForm>,
    merge: OnceLock<Arc<F>>,
    pool: Pool<Work<V>>,
}

impl<V, F> Default for PanesRecipe<V, F> {
    fn default() -> Self {
        Self { key: OnceLock::new(), merge: OnceLock::new(), pool: Pool::default() }
    }
}

impl<V: Record, F> PanesRecipe<V, F>
where
    F: Fn(&mut V, V::View<'_>) + Send + Sync + 'static,
{
    fn merge(&self) -> &F {
        self.merge.get().expect("invariant: generated code gives every combining tail its function")
    }
}

impl<K, V, F> Slot<CombinePanes<K, V, F>>
where
    K: Key,
    V: Record,
    F: Fn(&mut V, V::View<'_>) + Send + Sync + 'static,
{
    pub(crate) fn merge_with(&self, merge: Arc<F>) {
        let form = KeyForm::of::<(i64, K), V>().with_door(open::<K, V>);
        let _ = self.0.key.set(form);
        let _ = self.0.merge.set(merge);
    }
}

/// Lets in rows by pane and key, and counts of panes.
fn open<K: Key, V: Record>(bytes: Bytes) -> Result<Block, DecodeError> {
    let header = bytes.as_slice().first_chunk::<HEADER_LEN>();
    match header.map(Preamble::read) {
        Some(Ok(Preamble { kind: Kind::Rows, .. })) => Block::open_rows::<PaneCount>(bytes),
        _ => Block::open_keyed::<(i64, K), V>(bytes),
    }
}

impl<K: Key, V: Record, F> CombinePanes<K, V, F>
where
    F: Fn(&mut V, V::View<'_>) + Send + Sync + 'static,
{
    /// Takes one record, unless no window spans it.
    #[inline(always)]
    pub fn push<P: AsPair<Key = K, Value = V>>(&mut self, pane: Option<i64>, pair: P) {
        let Some(pane) = pane else { return };
        let number = self.panes.count(pane);
        let (key, value) = pair.parts();
        let Work { table, gather, scratch } = &mut *self.work;
        let recipe = &*self.recipe;
        scratch.clear();
        K::write(key, scratch);
        number.write(scratch);
        if V::INLINE {
            if gather.push(scratch, V::own(value)) {
                let merge = recipe.merge();
                gather.drain(table, |v| v, |acc, v| merge(acc, v.view()));
            }
        } else {
            let merge = recipe.merge();
            table.upsert_with(scratch, hash_key(scratch), value, V::own, |acc, v| merge(acc, v));
        }
    }
}

impl<K: 'static, V: Record, F> Tail for CombinePanes<K, V, F>
where
    F: Fn(&mut V, V::View<'_>) + Send + Sync + 'static,
{
    type Record = (K, V);
    type Recipe = PanesRecipe<V, F>;

    fn open(recipe: &Arc<Self::Recipe>, _: &TaskContext<'_>) -> Self {
        let (recipe, work) = (Arc::clone(recipe), recipe.pool.take());
        Self { recipe, work, panes: Numbered::default(), key: PhantomData }
    }

    fn close(mut self, cx: &TaskContext<'_>) -> Result<TailMade, TaskError> {
        let Work { table, gather, scratch } = &mut *self.work;
        let merge = self.recipe.merge();
        gather.drain(table, |v| v, |acc, v| merge(acc, v.view()));
        let form = form(&self.recipe.key);
        let mut segments = Segments::<V>::new(form, cx, 0..cx.partitions, table.len());
        for (numbered, _, value) in table.iter() {
            let (key, number) = Number::split(numbered);
            let pane = self.panes.starts.get(number).map_or(0, |(start, _)| *start);
            scratch.clear();
            scratch.extend_from_slice(&pane.to_le_bytes());
            scratch.extend_from_slice(key);
            segments.push(scratch, hash_key(key), value.view())?;
        }
        table.clear();
        self.recipe.pool.give(self.work);
        let mut counts = Growing::<PaneCount>::new(cx);
        for count in &self.panes.starts {
            counts.push(*count)?;
        }
        let counts = counts.blocks().into_iter().map(|block| (Partition(0), block));
        Ok(segments.finish_with(counts))
    }

    fn door(recipe: &Self::Recipe) -> Option<BlockDecoder> {
        recipe.key.get().map(|form| form.door())
    }
}

/// The panes of a task in the order in which they came, with how many records each has.
#[derive(Default)]
struct Numbered {
    starts: Vec<PaneCount>,
    numbers: BTreeMap<i64, usize>,
    last: usize,
}

impl Numbered {
    /// Counts a record of a pane.
    #[inline(always)]
    fn count(&mut self, pane: i64) -> Number {
        let at = match self.starts.get(self.last) {
            Some((start, _)) if *start == pane => self.last,
            _ => self.find(pane),
        };
        self.starts[at].1 += 1;
        Number(at)
    }

    #[inline(never)]
    fn find(&mut self, pane: i64) -> usize {
        let next = self.starts.len();
        self.last = *self.numbers.entry(pane).or_insert(next);
        if self.last == next {
            self.starts.push((pane, 0));
        }
        self.last
    }
}

/// The number of a pane, as it stands behind a key: two bytes, or these two for those that do not fit and four before
/// them.
#[derive(Clone, Copy)]
struct Number(usize);

impl Number {
    const LARGE: u16 = u16::MAX;

    #[inline(always)]
    fn write(self, out: &mut Vec<u8>) {
        match u16::try_from(self.0) {
            Ok(number) if number < Self::LARGE => out.extend_from_slice(&number.to_le_bytes()),
            _ => {
                out.extend_from_slice(&(self.0 as u32).to_le_bytes());
                out.extend_from_slice(&Self::LARGE.to_le_bytes());
            }
        }
    }

    /// The key and the number.
    fn split(bytes: &[u8]) -> (&[u8], usize) {
        let Some((rest, number)) = bytes.split_last_chunk::<2>() else { return (bytes, 0) };
        let number = u16::from_le_bytes(*number);
        match rest.split_last_chunk::<4>() {
            Some((key, large)) if number == Self::LARGE => {
                (key, u32::from_le_bytes(*large) as usize)
            }
            _ => (rest, number.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_back_behind_keys_of_any_length() {
        for number in [0, 1, 255, 256, 65_534, 65_535, 65_536, 4_000_000] {
            for key in [&b""[..], b"k", b"\xff\xff\xff\xff", b"a key of some length"] {
                let mut bytes = key.to_vec();
                Number(number).write(&mut bytes);
                assert_eq!(Number::split(&bytes), (key, number));
            }
        }
    }

    #[test]
    fn panes_keep_their_numbers_whatever_comes_between() {
        let mut panes = Numbered::default();
        let numbers: Vec<usize> = [60, 0, 60, 120, 0].map(|pane| panes.count(pane).0).to_vec();
        assert_eq!(numbers, [0, 1, 0, 2, 1]);
        assert_eq!(panes.starts, [(60, 2), (0, 2), (120, 1)]);
    }
}
