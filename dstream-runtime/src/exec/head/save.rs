//! State as blocks and back, for savepoints.

use super::panes::{Pane, Panes};
use crate::block::{Block, BufferPool, KeyedBuilder, KeyedRow, PushError, keyed_schema};
use crate::exec::table::KeyTable;
use crate::exec::task::TaskError;
use crate::id::BatchSeq;
use crate::record::{Key, Record};
use crate::store::KeptBlock;

/// The entries of a table, in order, as blocks.
pub(super) fn save_table<'t, K: Key, V: Record>(
    entries: impl Iterator<Item = (&'t [u8], u64, V::View<'t>)>,
) -> Result<Vec<Block>, TaskError> {
    let pool = BufferPool::new(0);
    let fresh = || KeyedBuilder::<V>::new(&pool, K::WIDTH, 0);
    let (mut blocks, mut builder) = (Vec::new(), fresh());
    for (key, hash, value) in entries {
        match builder.push(key, hash, value) {
            Err(PushError::Full) => {
                let full = std::mem::replace(&mut builder, fresh());
                blocks.extend(full.finish(keyed_schema::<K, V>()));
                builder.push(key, hash, value)?;
            }
            other => other?,
        }
    }
    blocks.extend(builder.finish(keyed_schema::<K, V>()));
    Ok(blocks)
}

/// Adds the entries of a block to a table.
pub(super) fn load_table<V: Record>(
    table: &mut KeyTable<V>,
    block: &KeptBlock,
) -> Result<(), TaskError> {
    for KeyedRow { key, hash, value } in block.get()?.keyed::<V>()? {
        table.upsert_with(key, hash, value, V::own, |old, value| *old = V::own(value));
    }
    Ok(())
}

/// The blocks of panes, each with its batch.
pub(super) fn save_panes(panes: &Panes) -> impl Iterator<Item = (u64, KeptBlock)> {
    panes.iter().flat_map(|pane| pane.blocks.iter().map(|block| (pane.batch.0, block.clone())))
}

/// Adds a block to the pane of its batch; panes come in order.
pub(super) fn load_pane(panes: &mut Panes, batch: u64, block: &KeptBlock) {
    match panes.newest_mut() {
        Some(pane) if pane.batch.0 == batch => pane.blocks.push(block.clone()),
        _ => panes.push(Pane { batch: BatchSeq(batch), blocks: vec![block.clone()] }),
    }
}
