//! `group_by_key_and_window`: the values of each key over the window, in the order of the batches. The state is the
//! panes alone: what is emitted holds every value, so nothing is saved by keeping more.

use std::marker::PhantomData;

use super::WindowState;
use crate::exec::head::group::emit_groups;
use crate::exec::head::panes::Span;
use crate::exec::head::side::held;
use crate::exec::head::{TaskContext, blocks};
use crate::exec::stage::Head;
use crate::exec::task::TaskError;
use crate::id::BatchSeq;
use crate::record::{Key, List, Record};
use crate::store::KeptBlock;

/// Groups over a window by key.
pub struct WindowGroup<K, V> {
    pub(crate) span: Span,
    pub(crate) types: PhantomData<fn() -> (K, V)>,
}

impl<K: Key, V: Record> Head for WindowGroup<K, V> {
    type Record = (K, Vec<V>);
    type State = WindowState<K, V>;
    type Change = ();

    fn run(
        &self,
        cx: &mut TaskContext<'_>,
        state: &mut WindowState<K, V>,
        mut emit: impl for<'a> FnMut((K::View<'a>, List<'a, V>)),
    ) -> Result<(), TaskError> {
        if !cx.emits {
            return Ok(());
        }
        let old = state.panes.spanned(cx.task.batch, self.span).flat_map(|pane| &pane.blocks);
        emit_groups::<K, V>(&held(old.chain(blocks(cx, 0)))?, &mut emit)
    }

    fn commit(&self, cx: &TaskContext<'_>, state: &mut WindowState<K, V>, (): ()) {
        state.panes.step(cx.task.batch, blocks(cx, 0).to_vec(), self.span);
    }

    fn step(
        &self,
        state: &mut WindowState<K, V>,
        batch: BatchSeq,
        entering: Vec<KeptBlock>,
    ) -> Result<(), TaskError> {
        state.panes.step(batch, entering, self.span);
        Ok(())
    }
}
