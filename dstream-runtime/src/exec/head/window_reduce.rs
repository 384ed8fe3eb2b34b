//! `reduce_by_key_and_window`: per key, the reduction over the batches that a window spans.
//!
//! What a batch brings is a *pane*: blocks in which every key stands once, already reduced. Panes are
//! the state; everything else (`Derived`) follows from them and can be made again, so a task that fails
//! half-way just drops it. Three ways to reduce:
//!
//! * with an inverse, over exact values: one table; the entering pane is merged, the leaving one
//!   taken out, and a key goes when no pane in the window holds it;
//! * without: two stacks of panes (the aggregator queue of Tangwongsan et al., VLDB 2015): every
//!   pane is merged a constant number of times in its life;
//! * over floats, whose sums depend on the order of addition: the window is folded anew, oldest
//!   pane first, so that the result equals a recomputation, always.
//!
//! What has changed between two saves is which batches had tasks and the panes that these brought: a worker
//! that loads that moves the window once more, with the same functions, and so derives the same in the same order.

mod group;
mod saved;

use std::marker::PhantomData;
use std::sync::Arc;

pub use group::WindowGroup;

use super::merge::merge_into;
use super::panes::{Panes, Span};
use super::{TaskContext, blocks};
use crate::block::KeyedRow;
use crate::exec::stage::Head;
use crate::exec::table::KeyTable;
use crate::exec::task::TaskError;
use crate::id::BatchSeq;
use crate::record::{Key, KeyReader, Record};
use crate::store::KeptBlock;

/// Reduces over a window by key, with `F`, and with `I` for what leaves.
pub struct WindowReduce<K, V, F, I> {
    pub(crate) span: Span,
    pub(crate) merge: Arc<F>,
    pub(crate) inverse: Option<I>,
    pub(crate) types: PhantomData<fn() -> (K, V)>,
}

/// The type of the inverse where there is none.
pub type NoInverse<V> = fn(&mut V, <V as Record>::View<'_>);

/// The state: panes, and what was derived from them.
pub struct WindowState<K, V> {
    panes: Panes,
    /// The batch whose window it is the reduction of, and the reduction. A task that fails after the
    /// slide finds it here when it runs again, so that its keys come in the same order.
    derived: Option<(BatchSeq, Derived<V>)>,
    key: PhantomData<fn() -> K>,
}

impl<K, V> Default for WindowState<K, V> {
    fn default() -> Self {
        Self { panes: Panes::default(), derived: None, key: PhantomData }
    }
}

/// What is kept so that a slide costs by the panes that enter and leave.
enum Derived<V> {
    /// Per key its value over the window and in how many panes it is.
    Inverse(KeyTable<(V, u32)>),
    /// Panes that will leave, aggregated from the newest of them back (`front`, the last of which is
    /// the whole), and those that came since (`back`, aggregated).
    Stacks { front: Vec<(BatchSeq, KeyTable<V>)>, back: KeyTable<V> },
}

impl<K: Key, V: Record, F, I> WindowReduce<K, V, F, I>
where
    F: Fn(&mut V, V::View<'_>) + Send + Sync + 'static,
    I: Fn(&mut V, V::View<'_>) + Send + Sync + 'static,
{
    /// Everything derived from panes, for the window that ends with batch `now`.
    fn derive(&self, panes: &Panes, now: BatchSeq) -> Result<Derived<V>, TaskError> {
        if self.inverse.is_some() {
            let mut table = KeyTable::new();
            for pane in panes.spanned(now, self.span) {
                self.enter(&mut table, &pane.blocks)?;
            }
            return Ok(Derived::Inverse(table));
        }
        let (mut front, back) = (Vec::new(), KeyTable::new());
        self.flip(panes, now, &mut front)?;
        Ok(Derived::Stacks { front, back })
    }

    /// Merges an entering pane.
    fn enter(&self, table: &mut KeyTable<(V, u32)>, blocks: &[KeptBlock]) -> Result<(), TaskError> {
        for block in blocks {
            let block = block.get()?;
            let rows = block.keyed::<V>()?.iter();
            table.upsert_rows(
                rows.map(|KeyedRow { key, hash, value }| (key, hash, value)),
                |v| (V::own(v), 1),
                |(acc, panes), v| {
                    (self.merge)(acc, v);
                    *panes += 1;
                },
            );
        }
        Ok(())
    }

    /// Takes a leaving pane out.
    fn leave(
        &self,
        table: &mut KeyTable<(V, u32)>,
        blocks: &[KeptBlock],
        inverse: &I,
    ) -> Result<(), TaskError> {
        for block in blocks {
            let block = block.get()?;
            let rows = block.keyed::<V>()?.iter();
            let rows = rows.map(|KeyedRow { key, hash, value }| (key, hash, value));
            table.in_groups(rows, |table, key, hash, value| {
                let Some(found) = table.find(key, hash) else { return };
                let (acc, panes) = table.value_mut(found);
                *panes -= 1;
                if *panes == 0 {
                    table.remove(key, hash);
                } else {
                    inverse(acc, value);
                }
            });
        }
        Ok(())
    }

    /// Fills the front stack: for every spanned pane the aggregate from it to the newest.
    fn flip(
        &self,
        panes: &Panes,
        now: BatchSeq,
        front: &mut Vec<(BatchSeq, KeyTable<V>)>,
    ) -> Result<(), TaskError> {
        for pane in panes.spanned(now, self.span).rev() {
            let mut table = KeyTable::new();
            for block in &pane.blocks {
                merge_into(&mut table, block, &*self.merge)?;
            }
            if let Some((_, newer)) = front.last() {
                let newer = newer.iter().map(|(key, hash, value)| (key, hash, value.view()));
                table.upsert_rows(newer, V::own, |acc, v| (self.merge)(acc, v));
            }
            front.push((pane.batch, table));
        }
        Ok(())
    }

    /// Moves the window by one pane.
    fn slide(
        &self,
        now: BatchSeq,
        panes: &Panes,
        derived: &mut Derived<V>,
        entering: &[KeptBlock],
    ) -> Result<(), TaskError> {
        match derived {
            Derived::Inverse(table) => {
                // Entering before leaving: a key that is in both panes never goes.
                self.enter(table, entering)?;
                if let Some(inverse) = &self.inverse {
                    for pane in panes.leaving(now, self.span) {
                        self.leave(table, &pane.blocks, inverse)?;
                    }
                }
            }
            Derived::Stacks { front, back } => {
                while front.last().is_some_and(|(batch, _)| batch.0 + self.span.batches <= now.0) {
                    front.pop();
                }
                if front.is_empty() {
                    // What came since the last flip is the new front.
                    back.clear();
                    self.flip(panes, now, front)?;
                }
                for block in entering {
                    merge_into(back, block, &*self.merge)?;
                }
            }
        }
        Ok(())
    }

    /// Brings what is derived to the window that ends with batch `now`, unless it is there.
    fn advance<'s>(
        &self,
        state: &'s mut WindowState<K, V>,
        now: BatchSeq,
        entering: &[KeptBlock],
    ) -> Result<&'s Derived<V>, TaskError> {
        // Taken out: if the slide fails, everything is derived again from the panes.
        let derived = match state.derived.take() {
            Some((at, derived)) if at == now => derived,
            before => {
                let mut derived = match before {
                    Some((_, derived)) => derived,
                    None => {
                        // Made anew, its keys may come in another order than what was saved would give.
                        state.panes.unmark();
                        self.derive(&state.panes, BatchSeq(now.0.saturating_sub(1)))?
                    }
                };
                self.slide(now, &state.panes, &mut derived, entering)?;
                derived
            }
        };
        let (_, derived) = state.derived.insert((now, derived));
        Ok(derived)
    }

    fn emit_derived(
        &self,
        derived: &Derived<V>,
        emit: &mut impl for<'a> FnMut((K::View<'a>, V::View<'a>)),
    ) {
        match derived {
            Derived::Inverse(table) => {
                for (key, _, (value, _)) in table.iter() {
                    emit((K::read(&mut KeyReader::new(key)), value.view()));
                }
            }
            Derived::Stacks { front, back } => {
                self.emit_stacks(front.last().map(|(_, table)| table), back, emit);
            }
        }
    }

    fn emit_stacks(
        &self,
        front: Option<&KeyTable<V>>,
        back: &KeyTable<V>,
        emit: &mut impl for<'a> FnMut((K::View<'a>, V::View<'a>)),
    ) {
        for (key, hash, value) in front.into_iter().flat_map(KeyTable::iter) {
            let key_view = K::read(&mut KeyReader::new(key));
            match back.find(key, hash) {
                None => emit((key_view, value.view())),
                Some(found) => {
                    let mut both = V::own(value.view());
                    (self.merge)(&mut both, back.value(found).view());
                    emit((key_view, both.view()));
                }
            }
        }
        for (key, hash, value) in back.iter() {
            if front.is_none_or(|front| front.find(key, hash).is_none()) {
                emit((K::read(&mut KeyReader::new(key)), value.view()));
            }
        }
    }

    /// Folds the whole window, oldest pane first.
    fn refold(
        &self,
        panes: &Panes,
        now: BatchSeq,
        entering: &[KeptBlock],
        emit: &mut impl for<'a> FnMut((K::View<'a>, V::View<'a>)),
    ) -> Result<(), TaskError> {
        let mut table = KeyTable::new();
        let old = panes.spanned(now, self.span).flat_map(|pane| &pane.blocks);
        for block in old.chain(entering) {
            merge_into(&mut table, block, &*self.merge)?;
        }
        for (key, _, value) in table.iter() {
            emit((K::read(&mut KeyReader::new(key)), value.view()));
        }
        Ok(())
    }
}

impl<K: Key, V: Record, F, I> Head for WindowReduce<K, V, F, I>
where
    F: Fn(&mut V, V::View<'_>) + Send + Sync + 'static,
    I: Fn(&mut V, V::View<'_>) + Send + Sync + 'static,
{
    type Record = (K, V);
    type State = WindowState<K, V>;
    type Change = ();

    fn run(
        &self,
        cx: &mut TaskContext<'_>,
        state: &mut WindowState<K, V>,
        mut emit: impl for<'a> FnMut((K::View<'a>, V::View<'a>)),
    ) -> Result<(), TaskError> {
        let (now, emits, entering) = (cx.task.batch, cx.emits, blocks(cx, 0));
        if !V::EXACT {
            return if emits {
                self.refold(&state.panes, now, entering, &mut emit)
            } else {
                Ok(())
            };
        }
        let derived = self.advance(state, now, entering)?;
        if emits {
            self.emit_derived(derived, &mut emit);
        }
        Ok(())
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
        if V::EXACT {
            self.advance(state, batch, &entering)?;
        }
        state.panes.step(batch, entering, self.span);
        Ok(())
    }
}
