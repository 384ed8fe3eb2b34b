//! What one task gathers: partial results of which it makes the whole (`reduce`, `count`, `top_k`), or all records.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use super::rows::Growing;
use super::{Slot, Tail, TailMade, TaskContext, TaskError};
use crate::block::{Block, BlockDecoder};
use crate::exec::event_time::Bounds;
use crate::id::Partition;
use crate::record::{AsRecord, Record};

/// Folds the records of a partition into one.
pub struct Fold<R: Record, F> {
    recipe: Arc<FoldRecipe<F>>,
    value: Option<R>,
}

/// What the tasks of a folding tail share.
pub struct FoldRecipe<F> {
    merge: OnceLock<Arc<F>>,
}

impl<F> Default for FoldRecipe<F> {
    fn default() -> Self {
        Self { merge: OnceLock::new() }
    }
}

impl<R: Record, F> Slot<Fold<R, F>>
where
    F: Fn(&mut R, R::View<'_>) + Send + Sync + 'static,
{
    pub(crate) fn merge_with(&self, merge: Arc<F>) {
        let _ = self.0.merge.set(merge);
    }
}

impl<R: Record, F> Fold<R, F>
where
    F: Fn(&mut R, R::View<'_>) + Send + Sync + 'static,
{
    /// Takes one record.
    #[inline]
    pub fn push<P: AsRecord<Record = R>>(&mut self, record: P) {
        match &mut self.value {
            Some(value) => {
                let merge = self.recipe.merge.get();
                let merge = merge.expect("invariant: generated code gives every fold its function");
                merge(value, record.as_view());
            }
            None => self.value = Some(R::own(record.as_view())),
        }
    }
}

impl<R: Record, F> Tail for Fold<R, F>
where
    F: Fn(&mut R, R::View<'_>) + Send + Sync + 'static,
{
    type Record = R;
    type Recipe = FoldRecipe<F>;

    fn open(recipe: &Arc<Self::Recipe>, _: &TaskContext<'_>) -> Self {
        Self { recipe: Arc::clone(recipe), value: None }
    }

    fn close(self, cx: &TaskContext<'_>) -> Result<TailMade, TaskError> {
        gathered::<R>(cx, self.value.iter().map(R::view))
    }

    fn door(_: &Self::Recipe) -> Option<BlockDecoder> {
        Some(Block::open_rows::<R>)
    }
}

/// Counts the records of a partition.
pub struct Tally {
    count: u64,
}

impl Tally {
    /// Takes one record.
    #[inline(always)]
    pub fn push<P>(&mut self, _record: P) {
        self.count += 1;
    }
}

impl Tail for Tally {
    type Record = ();
    type Recipe = ();

    fn open(_: &Arc<()>, _: &TaskContext<'_>) -> Self {
        Self { count: 0 }
    }

    fn close(self, cx: &TaskContext<'_>) -> Result<TailMade, TaskError> {
        gathered::<u64>(cx, (self.count > 0).then_some(self.count).into_iter())
    }

    fn door((): &()) -> Option<BlockDecoder> {
        Some(Block::open_rows::<u64>)
    }
}

/// Keeps all records for the one task that gathers them.
pub struct Gathered<R: Record> {
    growing: Growing<R>,
    /// The first record that did not fit; pushing cannot fail, so it is reported at the end.
    failed: Option<TaskError>,
}

impl<R: Record> Gathered<R> {
    /// Takes one record.
    #[inline]
    pub fn push<P: AsRecord<Record = R>>(&mut self, record: P) {
        if let Err(error) = self.growing.push(record.as_view()) {
            self.failed.get_or_insert(error);
        }
    }
}

impl<R: Record> Tail for Gathered<R> {
    type Record = R;
    type Recipe = ();

    fn open(_: &Arc<()>, cx: &TaskContext<'_>) -> Self {
        Self { growing: Growing::new(cx), failed: None }
    }

    fn close(self, _: &TaskContext<'_>) -> Result<TailMade, TaskError> {
        match self.failed {
            Some(error) => Err(error),
            None => Ok(self.growing.finish(Partition(0))),
        }
    }

    fn door((): &()) -> Option<BlockDecoder> {
        Some(Block::open_rows::<R>)
    }
}

/// Keeps the records with the greatest scores.
pub struct Top<S: Record, R: Record> {
    k: usize,
    best: Best<S, R>,
}

/// What the tasks of such a tail share: how many are kept.
#[derive(Default)]
pub struct TopRecipe {
    k: OnceLock<usize>,
}

impl TopRecipe {
    pub(crate) fn k(&self) -> usize {
        *self.k.get().expect("invariant: generated code says how many to keep")
    }
}

impl<S: Record, R: Record> Slot<Top<S, R>> {
    pub(crate) fn keep(&self, k: usize) {
        let _ = self.0.k.set(k);
    }
}

impl<S: Record, R: Record> Top<S, R> {
    /// Takes one record and its score.
    #[inline]
    pub fn push<A, P>(&mut self, score: A, record: P)
    where
        A: AsRecord<Record = S>,
        P: AsRecord<Record = R>,
    {
        self.best.offer(self.k, score.as_view(), record.as_view());
    }
}

impl<S: Record, R: Record> Tail for Top<S, R> {
    type Record = R;
    type Recipe = TopRecipe;

    fn open(recipe: &Arc<Self::Recipe>, _: &TaskContext<'_>) -> Self {
        Self { k: recipe.k(), best: Best::default() }
    }

    fn close(self, cx: &TaskContext<'_>) -> Result<TailMade, TaskError> {
        gathered::<(S, R)>(cx, self.best.0.iter().map(Record::view))
    }

    fn door(_: &TopRecipe) -> Option<BlockDecoder> {
        Some(Block::open_rows::<(S, R)>)
    }
}

/// Keeps the records with the greatest scores of each window.
pub struct WindowTop<S: Record, R: Record> {
    k: usize,
    windows: BTreeMap<Bounds, Best<S, R>>,
}

/// A row of it: window, score, record.
pub(crate) type WindowRow<S, R> = (Bounds, (S, R));

impl<S: Record, R: Record> Slot<WindowTop<S, R>> {
    pub(crate) fn keep(&self, k: usize) {
        let _ = self.0.k.set(k);
    }
}

impl<S: Record, R: Record> WindowTop<S, R> {
    /// Takes one record of a window and its score.
    #[inline]
    pub fn push<A, P>(&mut self, window: Bounds, score: A, record: P)
    where
        A: AsRecord<Record = S>,
        P: AsRecord<Record = R>,
    {
        let best = self.windows.entry(window).or_default();
        best.offer(self.k, score.as_view(), record.as_view());
    }
}

impl<S: Record, R: Record> Tail for WindowTop<S, R> {
    type Record = R;
    type Recipe = TopRecipe;

    fn open(recipe: &Arc<Self::Recipe>, _: &TaskContext<'_>) -> Self {
        Self { k: recipe.k(), windows: BTreeMap::new() }
    }

    fn close(self, cx: &TaskContext<'_>) -> Result<TailMade, TaskError> {
        let rows = self.windows.iter().flat_map(|(window, best)| {
            best.0.iter().map(move |(score, record)| (*window, (score.view(), record.view())))
        });
        gathered::<WindowRow<S, R>>(cx, rows)
    }

    fn door(_: &TopRecipe) -> Option<BlockDecoder> {
        Some(Block::open_rows::<WindowRow<S, R>>)
    }
}

/// The best records so far, best first: greatest score first, equal scores by record, ascending, so
/// that the result does not depend on how records are spread over partitions.
pub(crate) struct Best<S, R>(pub(crate) Vec<(S, R)>);

impl<S, R> Default for Best<S, R> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

/// None yet.
pub(crate) fn best<S: Record, R: Record>() -> Best<S, R> {
    Best::default()
}

impl<S: Record, R: Record> Best<S, R> {
    #[inline]
    pub(crate) fn offer(&mut self, k: usize, score: S::View<'_>, record: R::View<'_>) {
        let rank = |best: &(S, R)| {
            S::compare(score, best.0.view()).then_with(|| R::compare(best.1.view(), record))
        };
        if self.0.len() >= k {
            match self.0.last() {
                Some(worst) if rank(worst) == Ordering::Greater => {}
                _ => return,
            }
            self.0.pop();
        }
        let at = self.0.partition_point(|best| rank(best) != Ordering::Greater);
        self.0.insert(at, (S::own(score), R::own(record)));
    }
}

/// Rows for the one task that gathers them.
fn gathered<'a, R: Record>(
    cx: &TaskContext<'_>,
    views: impl Iterator<Item = R::View<'a>>,
) -> Result<TailMade, TaskError> {
    let mut rows = Growing::<R>::new(cx);
    for view in views {
        rows.push(view)?;
    }
    Ok(rows.finish(Partition(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_are_kept_in_order_whatever_the_order_of_arrival() {
        let records = [("d", 1u64), ("b", 7), ("a", 7), ("c", 9), ("e", 2), ("f", 7)];
        for shift in 0..records.len() {
            let mut best = Best::<u64, String>::default();
            for i in 0..records.len() {
                let (name, score) = records[(i + shift) % records.len()];
                best.offer(3, score, name);
            }
            let names: Vec<_> = best.0.iter().map(|(_, name)| name.as_str()).collect();
            assert_eq!(names, ["c", "a", "b"]);
        }
    }

    #[test]
    fn keeping_none_keeps_none() {
        let mut best = Best::<u64, u64>::default();
        best.offer(0, 1, 1);
        assert!(best.0.is_empty());
    }
}
