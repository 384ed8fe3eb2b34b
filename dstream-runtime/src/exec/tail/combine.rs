//! Keyed tails: combined on the map side, or only distributed.

use std::marker::PhantomData;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use super::{Slot, Tail, TailMade, TaskContext, TaskError};
use crate::block::{Block, BlockDecoder, BufferPool, KeyedBuilder, PushError, keyed_schema};
use crate::exec::job::Pool;
use crate::exec::table::{Gather, KeyTable, hash_key, partition_of};
use crate::id::Partition;
use crate::record::{AsPair, Key, Record};

/// What blocks need to know of a key, here and in the process that they go to. A flow tells its tails, so that only the operator that
/// asks for keys is told about a type that cannot be one.
#[derive(Debug, Clone, Copy)]
pub struct KeyForm {
    schema: u64,
    width: Option<usize>,
    door: BlockDecoder,
}

impl KeyForm {
    pub(super) fn of<K: Key, V: Record>() -> Self {
        let (schema, width) = (keyed_schema::<K, V>(), K::WIDTH);
        Self { schema, width, door: Block::open_keyed::<K, V> }
    }

    /// The same for blocks beside which others come in.
    pub(super) fn with_door(self, door: BlockDecoder) -> Self {
        Self { door, ..self }
    }

    pub(super) fn door(self) -> BlockDecoder {
        self.door
    }
}

/// The form that a flow has told.
pub(super) fn form(told: &OnceLock<KeyForm>) -> KeyForm {
    *told.get().expect("invariant: generated code gives every keyed tail to a flow")
}

/// Merges records of the same key with `F` before they are shuffled.
pub struct Combine<K, V: Record, F> {
    recipe: Arc<CombineRecipe<V, F>>,
    work: Box<Work<V>>,
    key: PhantomData<fn(K)>,
}

/// What the tasks of a combining tail share.
pub struct CombineRecipe<V, F> {
    key: OnceLock<KeyForm>,
    merge: OnceLock<Arc<F>>,
    pool: Pool<Work<V>>,
}

impl<V, F> Default for CombineRecipe<V, F> {
    fn default() -> Self {
        Self { key: OnceLock::new(), merge: OnceLock::new(), pool: Pool::default() }
    }
}

/// A task's tables, used again by the next task: fresh memory costs more than the work done in it.
pub(crate) struct Work<V> {
    pub(crate) table: KeyTable<V>,
    pub(super) gather: Gather<V>,
    pub(super) scratch: Vec<u8>,
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
        let _ = self.0.key.set(KeyForm::of::<K, V>());
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
fn drain<V: Record, F>(
    table: &mut KeyTable<V>,
    gather: &mut Gather<V>,
    recipe: &CombineRecipe<V, F>,
) where
    F: Fn(&mut V, V::View<'_>) + Send + Sync + 'static,
{
    let merge = recipe.merge();
    gather.drain(table, |v| v, |acc, v| merge(acc, v.view()));
}

impl<K: 'static, V: Record, F> Tail for Combine<K, V, F>
where
    F: Fn(&mut V, V::View<'_>) + Send + Sync + 'static,
{
    type Record = (K, V);
    type Recipe = CombineRecipe<V, F>;

    fn open(recipe: &Arc<Self::Recipe>, _: &TaskContext<'_>) -> Self {
        Self { recipe: Arc::clone(recipe), work: recipe.pool.take(), key: PhantomData }
    }

    fn close(mut self, cx: &TaskContext<'_>) -> Result<TailMade, TaskError> {
        let Work { table, gather, .. } = &mut *self.work;
        drain(table, gather, &self.recipe);
        let mut segments =
            Segments::<V>::new(form(&self.recipe.key), cx, 0..cx.partitions, table.len());
        for (key, hash, value) in table.iter() {
            segments.push(key, hash, value.view())?;
        }
        table.clear();
        self.recipe.pool.give(self.work);
        Ok(segments.finish())
    }

    fn door(recipe: &Self::Recipe) -> Option<BlockDecoder> {
        recipe.key.get().map(|form| form.door)
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

impl<K: Key, V: Record, const OWN: bool> Slot<Spread<K, V, OWN>> {
    pub(crate) fn key(&self) {
        let _ = self.0.set(KeyForm::of::<K, V>());
    }
}

impl<K: 'static, V: Record, const OWN: bool> Tail for Spread<K, V, OWN> {
    type Record = (K, V);
    type Recipe = OnceLock<KeyForm>;

    fn open(recipe: &Arc<Self::Recipe>, cx: &TaskContext<'_>) -> Self {
        let partitions =
            if OWN { cx.task.partition.0..cx.task.partition.0 + 1 } else { 0..cx.partitions };
        let segments = Segments::new(form(recipe), cx, partitions, 0);
        Self { segments, failed: None, scratch: Vec::new(), key: PhantomData }
    }

    fn close(self, _: &TaskContext<'_>) -> Result<TailMade, TaskError> {
        match self.failed {
            Some(error) => Err(error),
            None => Ok(self.segments.finish()),
        }
    }

    fn door(recipe: &Self::Recipe) -> Option<BlockDecoder> {
        recipe.get().map(|form| form.door)
    }
}

/// The segments of a shuffle block while they grow: one for each of some partitions.
pub(super) struct Segments<V: Record> {
    growing: Vec<KeyedBuilder<V>>,
    /// Segments that reached the limit of a block.
    full: Vec<(Partition, Block)>,
    first: u32,
    key: KeyForm,
    pool: BufferPool,
}

impl<V: Record> Segments<V> {
    /// For about `records` records altogether.
    pub(super) fn new(
        key: KeyForm,
        cx: &TaskContext<'_>,
        partitions: Range<u32>,
        records: usize,
    ) -> Self {
        // Room for an uneven spread, so that most segments never grow.
        let each = records / partitions.len().max(1) * 9 / 8;
        let builder = |_| KeyedBuilder::new(cx.buffers, key.width, each);
        Self {
            first: partitions.start,
            growing: partitions.map(builder).collect(),
            full: Vec::new(),
            key,
            pool: cx.buffers.clone(),
        }
    }

    #[inline]
    pub(super) fn push(
        &mut self,
        key: &[u8],
        hash: u64,
        value: V::View<'_>,
    ) -> Result<(), TaskError> {
        let index = match self.growing.len() {
            1 => 0,
            n => partition_of(hash, n as u32) as usize,
        };
        match self.growing[index].push(key, hash, value) {
            Ok(()) => Ok(()),
            Err(PushError::Full) => {
                let fresh = KeyedBuilder::new(&self.pool, self.key.width, 0);
                let done = std::mem::replace(&mut self.growing[index], fresh);
                let partition = Partition(self.first + index as u32);
                self.full.extend(done.finish(self.key.schema).map(|block| (partition, block)));
                Ok(self.growing[index].push(key, hash, value)?)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// All segments by partition, those of one partition in the order of their records.
    pub(super) fn finish(self) -> TailMade {
        self.finish_with(None)
    }

    /// The same, with blocks of another kind behind those of their partitions.
    pub(super) fn finish_with(
        self,
        others: impl IntoIterator<Item = (Partition, Block)>,
    ) -> TailMade {
        let Self { growing, full: mut blocks, first, key, .. } = self;
        for (partition, builder) in (first..).zip(growing) {
            blocks.extend(builder.finish(key.schema).map(|block| (Partition(partition), block)));
        }
        blocks.extend(others);
        blocks.sort_by_key(|(partition, _)| *partition);
        TailMade::Blocks(blocks)
    }
}
