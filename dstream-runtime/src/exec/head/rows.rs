//! Rows as they are: of this batch, of a window of batches, or all of a partition as one list.

use std::marker::PhantomData;

use super::panes::{Panes, Span};
use super::save::{changed_panes, load_pane, save_panes, steps};
use super::{TaskContext, blocks};
use crate::block::{Block, BlockDecoder};
use crate::exec::stage::Head;
use crate::exec::state::{Keep, Step};
use crate::exec::task::{SavedState, TaskError};
use crate::id::BatchSeq;
use crate::record::{List, Record};
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

/// The rows of a partition as one list, for `map_partitions`; nothing of an empty one.
pub struct PartitionRows<R>(pub(crate) PhantomData<fn() -> R>);

impl<R: Record> Head for PartitionRows<R> {
    type Record = Vec<R>;
    type State = ();
    type Change = ();

    fn run(
        &self,
        cx: &mut TaskContext<'_>,
        (): &mut (),
        mut emit: impl for<'a> FnMut(List<'a, R>),
    ) -> Result<(), TaskError> {
        let mut rows: Vec<R> = Vec::new();
        for block in blocks(cx, 0) {
            rows.extend(block.get()?.rows::<R>()?.iter().map(R::own));
        }
        if !rows.is_empty() {
            emit(List::Owned(&rows));
        }
        Ok(())
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
    type State = RowPanes<R>;
    type Change = ();

    fn run(
        &self,
        cx: &mut TaskContext<'_>,
        RowPanes { panes, .. }: &mut RowPanes<R>,
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

    fn commit(&self, cx: &TaskContext<'_>, state: &mut RowPanes<R>, (): ()) {
        state.panes.step(cx.task.batch, blocks(cx, 0).to_vec(), self.span);
    }

    fn step(
        &self,
        state: &mut RowPanes<R>,
        batch: BatchSeq,
        blocks: Vec<KeptBlock>,
    ) -> Result<(), TaskError> {
        state.panes.step(batch, blocks, self.span);
        Ok(())
    }
}

/// The state of a window: panes of rows. A block of them has its batch for a tag.
pub struct RowPanes<R> {
    panes: Panes,
    record: PhantomData<fn() -> R>,
}

impl<R> Default for RowPanes<R> {
    fn default() -> Self {
        Self { panes: Panes::default(), record: PhantomData }
    }
}

impl<R: Record> Keep for RowPanes<R> {
    fn save(&self) -> Result<SavedState, TaskError> {
        Ok(SavedState::whole(save_panes(self.panes.iter(), tag)))
    }

    fn changes(&self) -> Result<Option<SavedState>, TaskError> {
        Ok(changed_panes(&self.panes, tag))
    }

    fn mark(&mut self) {
        self.panes.mark();
    }

    fn load(whole: &SavedState) -> Result<Option<Self>, TaskError> {
        let mut state = Self::default();
        for (tag, block) in &whole.parts {
            block.get()?.rows::<R>()?;
            load_pane(&mut state.panes, BatchSeq(*tag), block);
        }
        Ok(Some(state))
    }

    fn apply(&mut self, changes: &SavedState, step: &mut Step<'_, Self>) -> Result<(), TaskError> {
        for (_, block) in &changes.parts {
            block.get()?.rows::<R>()?;
        }
        steps(changes, tag).try_for_each(|(batch, blocks)| step(self, batch, blocks))
    }

    fn door(_: u64) -> Option<BlockDecoder> {
        Some(Block::open_rows::<R>)
    }
}

/// The tag of a block.
fn tag(batch: BatchSeq) -> u64 {
    batch.0
}
