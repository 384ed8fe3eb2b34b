//! What one task makes of what all partitions send: one result out of partial ones, or all records in order.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::Arc;

use super::side::held;
use super::{TaskContext, blocks};
use crate::exec::event_time::Bounds;
use crate::exec::stage::Head;
use crate::exec::tail::{Best, WindowRow, best};
use crate::exec::task::TaskError;
use crate::record::Record;

/// `reduce`: one record per batch; none for an empty batch.
pub struct Reduce<R, F> {
    pub(crate) merge: Arc<F>,
    pub(crate) record: PhantomData<fn() -> R>,
}

impl<R: Record, F> Head for Reduce<R, F>
where
    F: Fn(&mut R, R::View<'_>) + Send + Sync + 'static,
{
    type Record = R;
    type State = ();
    type Change = ();

    fn run(
        &self,
        cx: &mut TaskContext<'_>,
        (): &mut (),
        mut emit: impl for<'a> FnMut(R::View<'a>),
    ) -> Result<(), TaskError> {
        let mut total: Option<R> = None;
        for block in blocks(cx, 0) {
            for view in block.get()?.rows::<R>()?.iter() {
                match &mut total {
                    Some(total) => (self.merge)(total, view),
                    None => total = Some(R::own(view)),
                }
            }
        }
        if let Some(total) = &total {
            emit(total.view());
        }
        Ok(())
    }

    fn commit(&self, _: &TaskContext<'_>, (): &mut (), (): ()) {}
}

/// `count`: one number per batch, 0 for an empty one.
pub struct CountAll;

impl Head for CountAll {
    type Record = u64;
    type State = ();
    type Change = ();

    fn run(
        &self,
        cx: &mut TaskContext<'_>,
        (): &mut (),
        mut emit: impl for<'a> FnMut(u64),
    ) -> Result<(), TaskError> {
        let mut total = 0;
        for block in blocks(cx, 0) {
            total += block.get()?.rows::<u64>()?.iter().sum::<u64>();
        }
        emit(total);
        Ok(())
    }

    fn commit(&self, _: &TaskContext<'_>, (): &mut (), (): ()) {}
}

/// `top_k`: the records with the greatest scores, greatest first.
pub struct TopK<S, R> {
    pub(crate) k: usize,
    pub(crate) record: PhantomData<fn() -> (S, R)>,
}

impl<S: Record, R: Record> Head for TopK<S, R> {
    type Record = R;
    type State = ();
    type Change = ();

    fn run(
        &self,
        cx: &mut TaskContext<'_>,
        (): &mut (),
        mut emit: impl for<'a> FnMut(R::View<'a>),
    ) -> Result<(), TaskError> {
        let mut best = best::<S, R>();
        for block in blocks(cx, 0) {
            for (score, record) in block.get()?.rows::<(S, R)>()?.iter() {
                best.offer(self.k, score, record);
            }
        }
        for (_, record) in &best.0 {
            emit(record.view());
        }
        Ok(())
    }

    fn commit(&self, _: &TaskContext<'_>, (): &mut (), (): ()) {}
}

/// `sort_by`: all records, by ascending key; equal keys by record, so that the order does not depend on how records are
/// spread over partitions.
pub struct SortBy<S, R>(pub(crate) PhantomData<fn() -> (S, R)>);

impl<S: Record, R: Record> Head for SortBy<S, R> {
    type Record = R;
    type State = ();
    type Change = ();

    fn run(
        &self,
        cx: &mut TaskContext<'_>,
        (): &mut (),
        mut emit: impl for<'a> FnMut(R::View<'a>),
    ) -> Result<(), TaskError> {
        let held = held(blocks(cx, 0))?;
        let mut rows = Vec::new();
        for block in &held {
            rows.extend(block.rows::<(S, R)>()?.iter());
        }
        // Rows that are equal are the same.
        rows.sort_unstable_by(|a, b| S::compare(a.0, b.0).then_with(|| R::compare(a.1, b.1)));
        rows.into_iter().for_each(|(_, record)| emit(record));
        Ok(())
    }

    fn commit(&self, _: &TaskContext<'_>, (): &mut (), (): ()) {}
}

/// `zip_with_index`: all records with their numbers, from 0 on in each batch.
pub struct ZipWithIndex<R>(pub(crate) PhantomData<fn() -> R>);

impl<R: Record> Head for ZipWithIndex<R> {
    type Record = (R, u64);
    type State = ();
    type Change = ();

    fn run(
        &self,
        cx: &mut TaskContext<'_>,
        (): &mut (),
        mut emit: impl for<'a> FnMut((R::View<'a>, u64)),
    ) -> Result<(), TaskError> {
        let mut index = 0;
        for block in blocks(cx, 0) {
            for record in block.get()?.rows::<R>()?.iter() {
                emit((record, index));
                index += 1;
            }
        }
        Ok(())
    }

    fn commit(&self, _: &TaskContext<'_>, (): &mut (), (): ()) {}
}

/// `top_k` of each window: the records with the greatest scores, greatest first, window by window.
pub struct WindowTopK<S, R> {
    pub(crate) k: usize,
    pub(crate) record: PhantomData<fn() -> (S, R)>,
}

impl<S: Record, R: Record> Head for WindowTopK<S, R> {
    type Record = (Bounds, R);
    type State = ();
    type Change = ();

    fn run(
        &self,
        cx: &mut TaskContext<'_>,
        (): &mut (),
        mut emit: impl for<'a> FnMut((Bounds, R::View<'a>)),
    ) -> Result<(), TaskError> {
        let mut windows: BTreeMap<(i64, i64), Best<S, R>> = BTreeMap::new();
        for block in blocks(cx, 0) {
            for ((start, end), (score, record)) in block.get()?.rows::<WindowRow<S, R>>()?.iter() {
                // Windows close in order of their ends.
                windows.entry((end, start)).or_default().offer(self.k, score, record);
            }
        }
        for ((end, start), best) in &windows {
            best.0.iter().for_each(|(_, record)| emit(((*start, *end), record.view())));
        }
        Ok(())
    }

    fn commit(&self, _: &TaskContext<'_>, (): &mut (), (): ()) {}
}
