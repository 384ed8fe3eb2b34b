//! Keyed tails: combined on the map side, or only distributed.

use std::marker::PhantomData;
use std::sync::{Arc, OnceLock};

use super::{Slot, Tail, TailMade, TaskContext, TaskError};
use crate::block::KeyedBuilder;
use crate::exec::job::Pool;
use crate::exec::table::{Gather, KeyTable, hash_key, partition_of};
use crate::id::Partition;
use crate::record::{AsPair, Key, Record};

/// Merges records of the same key with `F` before they are shuffled.
pub struct Combine<K, V: Record, F> {
    recipe: Arc<CombineRecipe<V, F>>,
    work: Box<Work<V>>,
    key: PhantomData<fn(K)>,
}

/// What the tasks of a combining tail share.
pub struct CombineRecipe<V, F> {
    merge: OnceLock<Arc<F>>,
    pool: Pool<Work<V>>,
}

impl<V, F> Default for CombineRecipe<V, F> {
    fn default() -> Self {
        Self { merge: OnceLock::new(), pool: Pool::default() }
    }
}

/// A task's tables, used again by the next task: fresh memory costs more than the work done in it.
pub(crate) struct Work<V> {
    pub(crate) table: KeyTable<V>,
    gather: Gather<V>,
    scratch: Vec<u8>,
}

impl<V> Default for Work<V> {
    fn default() -> Self {
        Self { table: KeyTable::new(), gather: Gather::new(), scratch: Vec::new() }
    }
}

impl<V: Record, F> CombineRecipe<V, F>
where
    F: Fn(&mut V, V::View<'_>) + Send + Sync + 'static,
{
    /// The function that merges a value into an accumulator.
    fn merge(&self) -> &F {
        self.merge.get().expect("invariant: generated code gives every combining tail its function")
    }
}

impl<K, V, F> Slot<Combine<K, V, F>>
where
    K: Key,
    V: Record,
    F: Fn(&mut V, V::View<'_>) + Send + Sync + 'static,
{
    pub(crate) fn merge_with(&self, merge: Arc<F>) {
        let _ = self.0.merge.set(merge);
    }
}

impl<K: Key, V: Record, F> Combine<K, V, F>
where
    F: Fn(&mut V, V::View<'_>) + Send + Sync + 'static,
{
    /// Takes one record.
    #[inline(always)]
    pub fn push<P: AsPair<Key = K, Value = V>>(&mut self, pair: P) {
        let (key, value) = pair.parts();
        let Work { table, gather, scratch } = &mut *self.work;
        let recipe = &*self.recipe;
        K::with_bytes(key, scratch, |bytes| {
            if V::INLINE {
                if gather.push(bytes, V::own(value)) {
                    drain(table, gather, recipe);
                }
            } else {
                let merge = recipe.merge();
                table.upsert_with(bytes, hash_key(bytes), value, V::own, |acc, v| merge(acc, v));
            }
        });
    }
}

#[inline(never)]
fn drain<V: Record, F>(table: &mut KeyTable<V>, gather: &mut Gather<V>, recipe: &CombineRecipe<V, F>)
where
    F: Fn(&mut V, V::View<'_>) + Send + Sync + 'static,
{
    let merge = recipe.merge();
    gather.drain(table, |v| v, |acc, v| merge(acc, v.view()));
}

impl<K: Key, V: Record, F> Tail for Combine<K, V, F>
where
    F: Fn(&mut V, V::View<'_>) + Send + Sync + 'static,
{
    type Recipe = CombineRecipe<V, F>;

    fn open(recipe: &Arc<Self::Recipe>, _: &TaskContext<'_>) -> Self {
        Self { recipe: Arc::clone(recipe), work: recipe.pool.take(), key: PhantomData }
    }

    fn close(mut self, cx: &TaskContext<'_>) -> Result<TailMade, TaskError> {
        let Work { table, gather, .. } = &mut *self.work;
        drain(table, gather, &self.recipe);
        let mut segments = Segments::<V>::new::<K>(cx.partitions);
        for (key, hash, value) in table.iter() {
            segments.push(key, hash, value.view())?;
        }
        table.clear();
        self.recipe.pool.give(self.work);
        segments.finish()
    }
}

/// Distributes records by key: to all partitions, or (when the key is the one the partition is by
/// already) to the task's own.
pub struct Spread<K, V: Record, const OWN: bool> {
    segments: Segments<V>,
    /// The first record that did not fit; pushing cannot fail, so it is reported at the end.
    failed: Option<TaskError>,
    scratch: Vec<u8>,
    key: PhantomData<fn(K)>,
}

impl<K: Key, V: Record, const OWN: bool> Spread<K, V, OWN> {
    /// Takes one record.
    #[inline]
    pub fn push<P: AsPair<Key = K, Value = V>>(&mut self, pair: P) {
        let (key, value) = pair.parts();
        let (segments, failed) = (&mut self.segments, &mut self.failed);
        K::with_bytes(key, &mut self.scratch, |bytes| {
            if let Err(error) = segments.push(bytes, hash_key(bytes), value) {
                failed.get_or_insert(error);
            }
        });
    }
}

impl<K: Key, V: Record, const OWN: bool> Tail for Spread<K, V, OWN> {
    type Recipe = ();

    fn open(_: &Arc<()>, cx: &TaskContext<'_>) -> Self {
        let segments = if OWN {
            Segments::<V>::own::<K>(cx.task.partition)
        } else {
            Segments::<V>::new::<K>(cx.partitions)
        };
        Self { segments, failed: None, scratch: Vec::new(), key: PhantomData }
    }

    fn close(self, _: &TaskContext<'_>) -> Result<TailMade, TaskError> {
        match self.failed {
            Some(error) => Err(error),
            None => self.segments.finish(),
        }
    }
}

/// The segments of a shuffle block while they grow.
struct Segments<V: Record> {
    builders: Vec<KeyedBuilder<V>>,
    first: Partition,
    schema: u64,
}

impl<V: Record> Segments<V> {
    fn new<K: Key>(partitions: u32) -> Self {
        let builders = (0..partitions).map(|_| KeyedBuilder::new::<K>()).collect();
        Self { builders, first: Partition(0), schema: <(K, V)>::SCHEMA.hash() }
    }

    fn own<K: Key>(partition: Partition) -> Self {
        let schema = <(K, V)>::SCHEMA.hash();
        Self { builders: vec![KeyedBuilder::new::<K>()], first: partition, schema }
    }

    #[inline]
    fn push(&mut self, key: &[u8], hash: u64, value: V::View<'_>) -> Result<(), TaskError> {
        let partition = match self.builders.len() {
            1 => 0,
            n => partition_of(hash, n as u32),
        };
        self.builders[partition as usize]
            .push(key, hash, value)
            .map_err(|e| TaskError::TooLarge(e.to_string()))
    }

    fn finish(self) -> Result<TailMade, TaskError> {
        let mut blocks = Vec::new();
        for (partition, builder) in (self.first.0..).zip(self.builders) {
            let block =
                builder.finish(self.schema).map_err(|e| TaskError::TooLarge(e.to_string()))?;
            blocks.extend(block.map(|block| (Partition(partition), block)));
        }
        Ok(TailMade::Blocks(blocks))
    }
}
