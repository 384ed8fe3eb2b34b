//! Rows as they are: of this batch, or of a window of batches.

use std::marker::PhantomData;

use super::panes::{Panes, Span};
use super::save::{changed_panes, load_pane, save_panes, steps};
use super::{TaskContext, blocks};
use crate::block::{Block, BlockDecoder};
use crate::exec::stage::Head;
use crate::exec::task::{SavedState, TaskError};
use crate::id::BatchSeq;
use crate::record::Record;
use crate::store::KeptBlock;

/// Reads rows of the same partition (of several stages where streams are united).
pub struct RowsOf<R>(pub(crate) PhantomData<fn() -> R>);

fn emit_rows<R: Record>(
    blocks: &[KeptBlock],
    emit: &mut impl for<'a> FnMut(R::View<'a>),
) -> Result<(), TaskError> {
    for block in blocks {
        block.get()?.rows::<R>()?.iter().for_each(&mut *emit);
    }
    Ok(())
}

impl<R: Record> Head for RowsOf<R> {
    type Record = R;
    type State = ();
    type Change = ();

    fn run(
        &self,
        cx: &mut TaskContext<'_>,
        (): &mut (),
        mut emit: impl for<'a> FnMut(R::View<'a>),
    ) -> Result<(), TaskError> {
        emit_rows::<R>(blocks(cx, 0), &mut emit)
    }

    fn commit(&self, _: &TaskContext<'_>, (): &mut (), (): ()) {}
}

/// `window`: the union of the rows of the last batches, in batch order.
pub struct Window<R> {
    pub(crate) span: Span,
    pub(crate) record: PhantomData<fn() -> R>,
}

impl<R: Record> Head for Window<R> {
    type Record = R;
    type State = Panes;
    type Change = ();

    fn run(
        &self,
        cx: &mut TaskContext<'_>,
        panes: &mut Panes,
        mut emit: impl for<'a> FnMut(R::View<'a>),
    ) -> Result<(), TaskError> {
        if !cx.emits {
            return Ok(());
        }
        for pane in panes.spanned(cx.task.batch, self.span) {
            emit_rows::<R>(&pane.blocks, &mut emit)?;
        }
        emit_rows::<R>(blocks(cx, 0), &mut emit)
    }

    fn commit(&self, cx: &TaskContext<'_>, panes: &mut Panes, (): ()) {
        panes.step(cx.task.batch, blocks(cx, 0).to_vec(), self.span);
    }

    fn save(&self, panes: &Panes) -> Result<SavedState, TaskError> {
        Ok(SavedState::whole(save_panes(panes.iter(), tag)))
    }

    fn changes(&self, panes: &Panes) -> Result<Option<SavedState>, TaskError> {
        Ok(changed_panes(panes, tag))
    }

    fn mark(&self, panes: &mut Panes) {
        panes.mark();
    }

    fn load(&self, chain: &[SavedState]) -> Result<Option<Panes>, TaskError> {
        let mut panes = Panes::default();
        for (_, block) in chain.iter().flat_map(|saved| &saved.parts) {
            block.get()?.rows::<R>()?;
        }
        let Some((whole, changes)) = chain.split_first() else { return Ok(None) };
        for (tag, block) in &whole.parts {
            load_pane(&mut panes, BatchSeq(*tag), block);
        }
        for (batch, blocks) in changes.iter().flat_map(|changes| steps(changes, tag)) {
            panes.step(batch, blocks, self.span);
        }
        Ok(Some(panes))
    }

    fn state_door(&self, _: u64) -> Option<BlockDecoder> {
        Some(Block::open_rows::<R>)
    }
}

/// A block of a window has its batch for a tag.
fn tag(batch: BatchSeq) -> u64 {
    batch.0
}
