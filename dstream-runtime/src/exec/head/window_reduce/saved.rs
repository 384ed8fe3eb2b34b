//! All of a window's state as blocks, and back.
//!
//! What was derived is saved too, so that keys come in the same order after a restart. Where it is empty it is
//! derived again, from panes that are empty as well.

use super::{Derived, WindowReduce, WindowState};
use crate::block::Block;
use crate::exec::head::panes::Panes;
use crate::exec::head::save::{load_pane, load_table, save_panes, save_table};
use crate::exec::table::KeyTable;
use crate::exec::task::{SavedState, TaskError};
use crate::id::BatchSeq;
use crate::record::{Key, Record};

impl<K: Key, V: Record, F, I> WindowReduce<K, V, F, I> {
    /// All of a state.
    pub(super) fn save_whole(&self, state: &WindowState<V>) -> Result<SavedState, TaskError> {
        let mut parts = save_panes(state.panes.iter(), pane_tag);
        let mut add = |part: Part, batch: BatchSeq, blocks: Vec<Block>| {
            parts.extend(blocks.into_iter().map(|block| (part.tag(batch), block.into())));
        };
        match &state.derived {
            None => {}
            Some((at, Derived::Inverse(table))) => {
                let entries = table.iter().map(|(key, hash, (v, n))| (key, hash, (v.view(), *n)));
                add(Part::Inverse, *at, save_table::<K, (V, u32)>(entries)?);
            }
            Some((at, Derived::Stacks { front, back })) => {
                for (batch, table) in front {
                    let entries = table.iter().map(|(key, hash, v)| (key, hash, v.view()));
                    add(Part::Front, *batch, save_table::<K, V>(entries)?);
                }
                let entries = back.iter().map(|(key, hash, v)| (key, hash, v.view()));
                add(Part::Back, *at, save_table::<K, V>(entries)?);
            }
        }
        Ok(SavedState::whole(parts))
    }

    /// The state that [`save_whole`](Self::save_whole) saved.
    pub(super) fn load_whole(&self, saved: &SavedState) -> Result<WindowState<V>, TaskError> {
        let mut panes = Panes::default();
        let mut at = NO_BATCH;
        let mut inverse = KeyTable::<(V, u32)>::new();
        let mut front: Vec<(BatchSeq, KeyTable<V>)> = Vec::new();
        let mut back = KeyTable::<V>::new();
        for (tag, block) in &saved.parts {
            let (part, batch) = Part::of(*tag);
            match part {
                Part::Pane => {
                    block.get()?.keyed::<V>()?;
                    load_pane(&mut panes, batch, block);
                }
                Part::Inverse => {
                    at = batch;
                    load_table(&mut inverse, block)?;
                }
                Part::Front => {
                    if front.last().is_none_or(|(last, _)| *last != batch) {
                        front.push((batch, KeyTable::new()));
                    }
                    if let Some((_, table)) = front.last_mut() {
                        load_table(table, block)?;
                    }
                }
                Part::Back => {
                    at = batch;
                    load_table(&mut back, block)?;
                }
            }
        }
        let derived = if !inverse.is_empty() {
            Some((at, Derived::Inverse(inverse)))
        } else if !front.is_empty() || !back.is_empty() {
            Some((at, Derived::Stacks { front, back }))
        } else {
            None
        };
        Ok(WindowState { panes, derived })
    }
}

/// The batch of what was derived, where nothing came with that: to move the window there once more changes nothing.
const NO_BATCH: BatchSeq = BatchSeq(0);

/// What a block of a saved window is; the two lowest bits of its tag, above them a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// Of a pane, of that batch.
    Pane,
    /// Of the table with an inverse, which is that of the window which ends with that batch.
    Inverse,
    /// Of the aggregate from the pane of that batch on.
    Front,
    /// Of the aggregate of what came since, up to that batch.
    Back,
}

impl Part {
    pub(super) fn tag(self, batch: BatchSeq) -> u64 {
        batch.0 << 2 | self as u64
    }

    pub(super) fn of(tag: u64) -> (Self, BatchSeq) {
        let part = match tag & 3 {
            0 => Self::Pane,
            1 => Self::Inverse,
            2 => Self::Front,
            _ => Self::Back,
        };
        (part, BatchSeq(tag >> 2))
    }
}

/// The tag of the blocks of a pane.
pub(super) fn pane_tag(batch: BatchSeq) -> u64 {
    Part::Pane.tag(batch)
}
