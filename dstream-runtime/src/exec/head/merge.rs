//! Merges the segments of a shuffle by key: the reduce side of `reduce_by_key`.

use std::marker::PhantomData;
use std::sync::Arc;

use super::{TaskContext, blocks};
use crate::block::KeyedRow;
use crate::exec::job::Pool;
use crate::exec::stage::Head;
use crate::exec::table::KeyTable;
use crate::exec::task::TaskError;
use crate::record::{Key, KeyReader, Record};
use crate::store::KeptBlock;

/// Merges records of the same key with `F`.
pub struct Merge<K, V, F> {
    merging: Merging<V, F>,
    key: PhantomData<fn(K)>,
}

/// The merging itself, which does not depend on the type of the key.
pub(crate) struct Merging<V, F> {
    pub(crate) merge: Arc<F>,
    pool: Pool<KeyTable<V>>,
}

impl<V: Record, F> Merging<V, F>
where
    F: Fn(&mut V, V::View<'_>) + Send + Sync + 'static,
{
    pub(crate) fn new(merge: Arc<F>) -> Self {
        Self { merge, pool: Pool::default() }
    }

    /// Merges blocks in order into a table of their keys, in order of first appearance.
    pub(crate) fn table(&self, blocks: &[KeptBlock]) -> Result<Box<KeyTable<V>>, TaskError> {
        let mut table = self.pool.take();
        for block in blocks {
            merge_into(&mut table, block, &*self.merge)?;
        }
        Ok(table)
    }

    /// Gives a table back to be used again.
    pub(crate) fn give_back(&self, mut table: Box<KeyTable<V>>) {
        table.clear();
        self.pool.give(table);
    }
}

/// Merges the rows of one block into a table.
pub(crate) fn merge_into<V: Record>(
    table: &mut KeyTable<V>,
    block: &KeptBlock,
    merge: &impl Fn(&mut V, V::View<'_>),
) -> Result<(), TaskError> {
    let block = block.get()?;
    let rows = block.keyed::<V>()?.iter();
    let rows = rows.map(|KeyedRow { key, hash, value }| (key, hash, value));
    table.upsert_rows(rows, V::own, |acc, v| merge(acc, v));
    Ok(())
}

impl<K, V: Record, F> Merge<K, V, F>
where
    F: Fn(&mut V, V::View<'_>) + Send + Sync + 'static,
{
    pub(crate) fn new(merge: Arc<F>) -> Self {
        Self { merging: Merging::new(merge), key: PhantomData }
    }
}

impl<K: Key, V: Record, F> Head for Merge<K, V, F>
where
    F: Fn(&mut V, V::View<'_>) + Send + Sync + 'static,
{
    type Record = (K, V);
    type State = ();
    type Change = ();

    fn run(
        &self,
        cx: &mut TaskContext<'_>,
        (): &mut (),
        mut emit: impl for<'a> FnMut((K::View<'a>, V::View<'a>)),
    ) -> Result<(), TaskError> {
        let table = self.merging.table(blocks(cx, 0))?;
        for (key, _, value) in table.iter() {
            emit((K::read(&mut KeyReader::new(key)), value.view()));
        }
        self.merging.give_back(table);
        Ok(())
    }

    fn commit(&self, _: &TaskContext<'_>, (): &mut (), (): ()) {}
}
