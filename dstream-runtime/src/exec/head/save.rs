//! State as blocks and back: all of it, or what has changed.

use super::panes::{Pane, Panes};
use crate::block::{Block, BufferPool, KeyedBuilder, KeyedRow, PushError, keyed_schema};
use crate::exec::table::KeyTable;
use crate::exec::task::{SavedState, TaskError};
use crate::id::BatchSeq;
use crate::record::{Key, Record};
use crate::store::KeptBlock;

/// Entries of a table, in order, as blocks.
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

/// Takes the entries of a block into a table: keys that are there get new values, the others follow.
pub(super) fn load_table<V: Record>(
    table: &mut KeyTable<V>,
    block: &KeptBlock,
) -> Result<(), TaskError> {
    for KeyedRow { key, hash, value } in block.get()?.keyed::<V>()? {
        table.upsert_with(key, hash, value, V::own, |old, value| *old = V::own(value));
    }
    Ok(())
}

/// The blocks of panes, each with the tag of its batch.
pub(super) fn save_panes<'p>(
    panes: impl Iterator<Item = &'p Pane>,
    tag: impl Fn(BatchSeq) -> u64,
) -> Vec<(u64, KeptBlock)> {
    let of = |pane: &'p Pane| pane.blocks.iter().map(move |block| (pane.batch, block.clone()));
    let blocks = panes.flat_map(of);
    blocks.map(|(batch, block)| (tag(batch), block)).collect()
}

/// What has changed of panes.
pub(super) fn changed_panes(panes: &Panes, tag: impl Fn(BatchSeq) -> u64) -> Option<SavedState> {
    let (steps, panes) = panes.since_last_but_one()?;
    Some(SavedState { parts: save_panes(panes, tag), steps })
}

/// Adds a block to the pane of its batch; panes come in order.
pub(super) fn load_pane(panes: &mut Panes, batch: BatchSeq, block: &KeptBlock) {
    match panes.newest_mut() {
        Some(pane) if pane.batch == batch => pane.blocks.push(block.clone()),
        _ => panes.push(Pane { batch, blocks: vec![block.clone()] }),
    }
}

/// The batches whose tasks have run between two saves, and what each of them brought.
pub(super) fn steps<'s>(
    changes: &'s SavedState,
    tag: impl Fn(BatchSeq) -> u64 + 's,
) -> impl Iterator<Item = (BatchSeq, Vec<KeptBlock>)> + 's {
    changes.steps.iter().map(move |batch| {
        let of = changes.parts.iter().filter(|(part, _)| *part == tag(*batch));
        (*batch, of.map(|(_, block)| block.clone()).collect())
    })
}
