//! All of a window's state as blocks, and back.
//!
//! What was derived is saved too, so that keys come in the same order after a restart. Where it is empty it is
//! derived again, from panes that are empty as well.

use std::marker::PhantomData;

use super::{Derived, WindowState};
use crate::block::{Block, BlockDecoder};
use crate::exec::head::panes::Panes;
use crate::exec::head::save::{
    changed_panes, load_pane, load_table, save_panes, save_table, steps,
};
use crate::exec::state::{Keep, Step};
use crate::exec::table::KeyTable;
use crate::exec::task::{SavedState, TaskError};
use crate::id::BatchSeq;
use crate::record::{Key, Record};

impl<K: Key, V: Record> Keep for WindowState<K, V> {
    fn save(&self) -> Result<SavedState, TaskError> {
        let mut parts = save_panes(self.panes.iter(), pane_tag);
        let mut add = |part: Part, batch: BatchSeq, blocks: Vec<Block>| {
            parts.extend(blocks.into_iter().map(|block| (part.tag(batch), block.into())));
        };
        match &self.derived {
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

    fn changes(&self) -> Result<Option<SavedState>, TaskError> {
        Ok(changed_panes(&self.panes, pane_tag))
    }

    fn mark(&mut self) {
        self.panes.mark();
    }

    fn load(whole: &SavedState) -> Result<Option<Self>, TaskError> {
        let mut panes = Panes::default();
        let mut at = NO_BATCH;
        let mut inverse = KeyTable::<(V, u32)>::new();
        let mut front: Vec<(BatchSeq, KeyTable<V>)> = Vec::new();
        let mut back = KeyTable::<V>::new();
        for (tag, block) in &whole.parts {
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
        Ok(Some(WindowState { panes, derived, key: PhantomData }))
    }

    fn apply(&mut self, changes: &SavedState, step: &mut Step<'_, Self>) -> Result<(), TaskError> {
        for (_, block) in &changes.parts {
            block.get()?.keyed::<V>()?;
        }
        steps(changes, pane_tag).try_for_each(|(batch, entering)| step(self, batch, entering))
    }

    fn door(tag: u64) -> Option<BlockDecoder> {
        Some(match Part::of(tag).0 {
            Part::Pane | Part::Front | Part::Back => Block::open_keyed::<K, V>,
            Part::Inverse => Block::open_keyed::<K, (V, u32)>,
        })
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
