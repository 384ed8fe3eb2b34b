//! A job, built: stages with their types erased, and what it wants to read and write.
//!
//! Generated code calls a [`Builder`] once per process and stage, in topological order. The types of
//! a stage follow from those of the stages before it, so the whole program is inferred by rustc inside
//! one function, from closures without annotations.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError};

use super::context::Context;
use super::event_time::Windows;
use super::head::{
    Cogroup, CountAll, EventWindow, Expiring, Firsts, FullOuterJoin, GroupByKey, Join,
    LeftOuterJoin, Marked, Merge, NoInverse, PartitionRows, Reduce, Remembered, RightOuterJoin,
    RowsOf, Running, SortBy, SourceHead, Span, SubtractByKey, TopK, Track, UpdateState, Watermark,
    Window, WindowGroup, WindowReduce, WindowTopK, ZipWithIndex,
};
use super::keyed::{KeyContext, Out, State};
use super::stage::{Head, RunStage, Stage};
use super::state::StageName;
use super::tail::{
    Broadcast, Combine, CombinePanes, Fold, Gathered, Marks, Output, Rows, Slot, Spread, Tail,
    Tails, Tally, Top, WindowTop,
};
use crate::connectors::Connectors;
use crate::id::{OutputId, SourceId, StageId};
use crate::plan::Plan;
use crate::record::{Format, InWindow, Key, Record, Schema};
use crate::sink::{BatchFunction, BatchPart, BatchRows, FUNCTION, Outcome};
use crate::source::{self, Check, Decode};

/// Values used again by the next task instead of being made anew.
pub(crate) struct Pool<T>(Mutex<Vec<Box<T>>>);

impl<T> Default for Pool<T> {
    fn default() -> Self {
        Self(Mutex::new(Vec::new()))
    }
}

impl<T: Default> Pool<T> {
    /// How many are kept: more than the cores of a machine, so that none is dropped in a busy stage.
    const KEPT: usize = 64;

    pub(crate) fn take(&self) -> Box<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    pub(crate) fn give(&self, value: Box<T>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < Self::KEPT {
            kept.push(value);
        }
    }
}

/// A job's stages and what it wants to read and write.
#[derive(Clone)]
pub struct BuiltJob {
    /// Its plan.
    pub plan: &'static Plan,
    /// One per stage of the plan.
    pub stages: Vec<Arc<dyn RunStage>>,
    /// One per source of the plan.
    pub sources: Vec<SourceSpec>,
    /// One per output of the plan.
    pub outputs: Vec<OutputSpec>,
    /// What opens them.
    pub connectors: &'static Connectors,
}

/// A source as the program declares it.
#[derive(Debug, Clone)]
pub struct SourceSpec {
    /// Where it reads, unless `--source` says otherwise.
    pub url: String,
    /// How its records are written.
    pub format: Format,
    /// The shape of its records.
    pub schema: Schema,
    /// What says of records whether they can be read.
    pub check: Check,
}

/// An output as the program declares it.
#[derive(Debug, Clone)]
pub struct OutputSpec {
    /// Where it writes, unless `--sink` says otherwise.
    pub url: String,
    /// The shape of its records.
    pub schema: Schema,
    /// The function of the program that takes its batches, if the URL is [`FUNCTION`].
    pub function: Option<BatchFunction>,
}

/// Where a program says that a source reads or an output writes.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no URL",
    label = "a URL is text",
    note = "write it out, or take it from a parameter: `&params.input`"
)]
pub trait Url {
    /// As text of its own.
    fn text(self) -> String;
}

#[diagnostic::do_not_recommend]
impl<T: Into<String>> Url for T {
    fn text(self) -> String {
        self.into()
    }
}

/// Builds a [`BuiltJob`]. Only generated code calls it.
pub struct Builder {
    plan: &'static Plan,
    stages: Vec<Arc<dyn RunStage>>,
    sources: Vec<SourceSpec>,
    outputs: Vec<OutputSpec>,
    bindings: Bindings,
}

/// Which URLs to use instead of those in the program: `--source NAME=URL`, `--sink NAME=URL`.
#[derive(Debug, Clone, Default)]
pub struct Bindings {
    /// By name of the source.
    pub sources: BTreeMap<String, String>,
    /// By name of the output.
    pub sinks: BTreeMap<String, String>,
}

impl Builder {
    /// Begins a job.
    #[must_use]
    pub fn new(plan: &'static Plan, bindings: Bindings) -> Self {
        Self { plan, stages: Vec::new(), sources: Vec::new(), outputs: Vec::new(), bindings }
    }

    /// Ends it.
    #[must_use]
    pub fn finish(self) -> BuiltJob {
        let Self { plan, stages, sources, outputs, .. } = self;
        BuiltJob { plan, stages, sources, outputs, connectors: Connectors::built_in() }
    }

    /// Declares a source.
    pub fn source<D: Decode>(&mut self, id: SourceId, url: impl Url) -> SourceHead<D> {
        let bound =
            self.plan.sources.get(id.index()).and_then(|s| self.bindings.sources.get(s.name));
        let url = bound.cloned().unwrap_or_else(|| url.text());
        let policy = source::policy(&url);
        let (format, schema, check) = (D::FORMAT, D::Record::SCHEMA, Check::of::<D>());
        self.sources.push(SourceSpec { url, format, schema, check });
        SourceHead { policy, decode: PhantomData }
    }

    /// Adds a stage: what it reads, its kernel, and (inferred from the kernel) where its records go.
    pub fn stage<H, T, K>(&mut self, id: StageId, head: H, kernel: K) -> T::Slots
    where
        H: Head,
        T: Tails,
        K: for<'a> Fn(<H::Record as Record>::View<'a>, &mut T) + Send + Sync + 'static,
    {
        debug_assert_eq!(id.index(), self.stages.len());
        let recipes = Arc::new(T::Recipes::default());
        let slots = T::slots(&recipes);
        let name = self.name(id);
        self.stages.push(Arc::new(Stage::<H, K, T> { name, head, kernel, recipes }));
        slots
    }

    /// Makes the watermark of a stage's inputs, each with its slack in milliseconds.
    #[must_use]
    pub fn watermark<const N: usize>(&self, id: StageId, inputs: [(&Times, i64); N]) -> Watermark {
        let row = self.plan.stages.get(id.index());
        let sources = |input: usize| {
            let row = row.and_then(|row| row.inputs.get(input));
            row.map_or_else(Vec::new, |row| self.plan.sources_of_input(row).into_iter().collect())
        };
        let inputs = inputs.iter().enumerate();
        let inputs = inputs.map(|(at, (_, slack))| Marked { slack: *slack, sources: sources(at) });
        Watermark { inputs: inputs.collect() }
    }

    /// What errors call a stage.
    fn name(&self, id: StageId) -> StageName {
        let row = self.plan.stages.get(id.index());
        let stream = row.map_or("?", |row| row.state.as_ref().map_or(row.name, |kept| kept.name));
        StageName { id, stream }
    }

    /// Declares an output.
    pub fn output<R: Record>(&mut self, id: OutputId, slot: Slot<Output<R>>, url: impl Url) {
        let url = url.text();
        self.declare(id, slot, OutputSpec { url, schema: R::SCHEMA, function: None });
    }

    /// Declares an output of records with windows, which are written before them.
    pub fn output_of_windows<R: Record>(
        &mut self,
        id: OutputId,
        slot: Slot<Output<R>>,
        url: impl Url,
    ) {
        // A record that has such columns itself is written as it is: no name is there twice.
        if !InWindow::is_in(&R::SCHEMA) {
            slot.show_windows();
        }
        self.output(id, slot, url);
    }

    /// Declares an output to a function.
    pub fn foreach_batch<R, F, O>(&mut self, id: OutputId, slot: Slot<Output<R>>, function: F)
    where
        R: Record,
        F: Fn(&BatchPart, BatchRows<'_, R>) -> O + Send + Sync + 'static,
        O: Outcome,
    {
        let function = Some(BatchFunction::new(function));
        let url = FUNCTION.to_owned();
        self.declare(id, slot, OutputSpec { url, schema: R::SCHEMA, function });
    }

    fn declare<R: Record>(&mut self, id: OutputId, slot: Slot<Output<R>>, mut spec: OutputSpec) {
        slot.bind(id);
        let bound = self.plan.outputs.get(id.index()).and_then(|o| self.bindings.sinks.get(o.name));
        if let Some(url) = bound {
            spec.url.clone_from(url);
        }
        if self.outputs.len() <= id.index() {
            let none = OutputSpec { url: String::new(), schema: R::SCHEMA, function: None };
            self.outputs.resize(id.index() + 1, none);
        }
        self.outputs[id.index()] = spec;
    }
}

/// Tails that feed one flow: the streams of a union.
#[diagnostic::on_unimplemented(
    message = "the streams of this union have different records",
    label = "the first stream has records of type `{First}`, this one of type `{Mine}`",
    note = "make them alike with `.map(…)`: integers of the same width, the same fields in the same order"
)]
pub trait United<T: Tail, Mine, First>: Tail {
    /// The same slot.
    fn slot(slot: Slot<Self>) -> Slot<T>;
}

impl<T: Tail> United<T, T::Record, T::Record> for T {
    fn slot(slot: Slot<T>) -> Slot<T> {
        slot
    }
}

/// A slot whose records are united with those of another.
#[must_use]
pub fn united<S, T>(_: &Slot<T>, slot: Slot<S>) -> Slot<T>
where
    S: Tail + United<T, <S as Tail>::Record, <T as Tail>::Record>,
    T: Tail,
{
    S::slot(slot)
}

/// Records combined by key with `F`, on their way to the stages that merge them.
pub struct Combined<K, V, F> {
    merge: Arc<F>,
    types: PhantomData<fn() -> (K, V)>,
}

/// Gives combining tails (several where streams are united) their function.
pub fn combined<K, V, F, const N: usize>(
    slots: [Slot<Combine<K, V, F>>; N],
    f: F,
) -> Combined<K, V, F>
where
    K: Key,
    V: Record,
    F: Fn(&mut V, V::View<'_>) + Send + Sync + 'static,
{
    let merge = Arc::new(f);
    slots.iter().for_each(|slot| slot.merge_with(Arc::clone(&merge)));
    Combined { merge, types: PhantomData }
}

/// Records by key, not combined.
pub struct Keyed<K, V>(PhantomData<fn() -> (K, V)>);

/// What spreading tails make.
pub fn keyed<K: Key, V: Record, const OWN: bool, const N: usize>(
    slots: [Slot<Spread<K, V, OWN>>; N],
) -> Keyed<K, V> {
    slots.iter().for_each(Slot::key);
    Keyed(PhantomData)
}

/// Rows of a narrow dependency.
pub struct RowsToken<R>(PhantomData<fn() -> R>);

/// What row tails make.
pub fn rows<R: Record, const N: usize>(_: [Slot<Rows<R>>; N]) -> RowsToken<R> {
    RowsToken(PhantomData)
}

/// Reads combined records: one per key.
pub fn merge<K, V, F>(input: &Combined<K, V, F>) -> Merge<K, V, F>
where
    V: Record,
    F: Fn(&mut V, V::View<'_>) + Send + Sync + 'static,
{
    Merge::new(Arc::clone(&input.merge))
}

/// Reads records by key that were not combined, and merges them.
pub fn merge_keyed<K: Key, V: Record, F>(_: &Keyed<K, V>, f: F) -> Merge<K, V, F>
where
    F: Fn(&mut V, V::View<'_>) + Send + Sync + 'static,
{
    Merge::new(Arc::new(f))
}

/// Reads combined records and merges them with the state.
pub fn running<K, V, F>(input: &Combined<K, V, F>) -> Running<K, V, F>
where
    V: Record,
    F: Fn(&mut V, V::View<'_>) + Send + Sync + 'static,
{
    Running::new(Arc::clone(&input.merge))
}

/// The same for records that were not combined.
pub fn running_keyed<K: Key, V: Record, F>(_: &Keyed<K, V>, f: F) -> Running<K, V, F>
where
    F: Fn(&mut V, V::View<'_>) + Send + Sync + 'static,
{
    Running::new(Arc::new(f))
}

/// Reads combined records and merges them with the state, whose keys are forgotten when they were not touched for that
/// many milliseconds.
pub fn expiring<K, V, F>(input: &Combined<K, V, F>, timeout: u64) -> Expiring<K, V, F>
where
    V: Record,
    F: Fn(&mut V, V::View<'_>) + Send + Sync + 'static,
{
    Expiring::new(Arc::clone(&input.merge), timeout)
}

/// The same for records that were not combined.
pub fn expiring_keyed<K: Key, V: Record, F>(
    _: &Keyed<K, V>,
    f: F,
    timeout: u64,
) -> Expiring<K, V, F>
where
    F: Fn(&mut V, V::View<'_>) + Send + Sync + 'static,
{
    Expiring::new(Arc::new(f), timeout)
}

/// Reads combined records, and keeps the first of each key that is not remembered.
pub fn firsts<K, V, F>(input: &Combined<K, V, F>, remembered: Remembered) -> Firsts<K, V, F>
where
    V: Record,
    F: Fn(&mut V, V::View<'_>) + Send + Sync + 'static,
{
    Firsts::new(Arc::clone(&input.merge), remembered)
}

/// The same for records that were not combined.
pub fn firsts_keyed<K: Key, V: Record, F>(
    _: &Keyed<K, V>,
    f: F,
    remembered: Remembered,
) -> Firsts<K, V, F>
where
    F: Fn(&mut V, V::View<'_>) + Send + Sync + 'static,
{
    Firsts::new(Arc::new(f), remembered)
}

/// Calls functions of the program with the records of each key and with what they keep of it.
pub fn track<K, V, S, R, F, O, A>(
    _: &Keyed<K, V>,
    record: F,
    timed_out: O,
    timer: A,
    timeout: Option<u64>,
    operator: u64,
) -> Track<K, V, S, R, F, O, A>
where
    K: Key,
    V: Record,
    S: Record,
    R: Record,
    F: for<'a> Fn(K::View<'a>, V::View<'a>, &mut State<S>, &mut KeyContext<'_>, &mut Out<'_, R>)
        + Send
        + Sync
        + 'static,
    O: for<'a> Fn(K::View<'a>, S::View<'a>, Context<'_>, &mut Out<'_, R>) + Send + Sync + 'static,
    A: for<'a> Fn(K::View<'a>, u64, &mut State<S>, &mut KeyContext<'_>, &mut Out<'_, R>)
        + Send
        + Sync
        + 'static,
{
    let functions = (record, timed_out, timer);
    Track { functions, timeout, operator, types: PhantomData }
}

/// Calls a function of the program for every key in every batch.
pub fn update_state<K, V, S, F>(
    _: &Keyed<K, V>,
    update: F,
    operator: u64,
) -> UpdateState<K, V, S, F>
where
    K: Key,
    V: Record,
    S: Record,
    F: for<'a> Fn(&[V::View<'a>], Option<S>, Context<'_>) -> Option<S> + Send + Sync + 'static,
{
    UpdateState { update, operator, types: PhantomData }
}

/// Reduces a window of panes by key.
pub fn window_reduce<K: Key, V: Record, F>(
    _: &Keyed<K, V>,
    span: Span,
    f: F,
) -> WindowReduce<K, V, F, NoInverse<V>>
where
    F: Fn(&mut V, V::View<'_>) + Send + Sync + 'static,
{
    WindowReduce { span, merge: Arc::new(f), inverse: None, types: PhantomData }
}

/// Reduces a window of panes by key, with an inverse.
pub fn window_reduce_inverse<K: Key, V: Record, F, I>(
    _: &Keyed<K, V>,
    span: Span,
    f: F,
    inverse: I,
) -> WindowReduce<K, V, F, I>
where
    F: Fn(&mut V, V::View<'_>) + Send + Sync + 'static,
    I: Fn(&mut V, V::View<'_>) + Send + Sync + 'static,
{
    WindowReduce { span, merge: Arc::new(f), inverse: Some(inverse), types: PhantomData }
}

/// Records of event-time windows, combined by pane and key on their way to the stages that merge them.
pub struct CombinedPanes<K, V, F> {
    merge: Arc<F>,
    types: PhantomData<fn() -> (K, V)>,
}

/// Gives tails that combine panes (several where streams are united) their function.
pub fn combined_panes<K, V, F, const N: usize>(
    slots: [Slot<CombinePanes<K, V, F>>; N],
    f: F,
) -> CombinedPanes<K, V, F>
where
    K: Key,
    V: Record,
    F: Fn(&mut V, V::View<'_>) + Send + Sync + 'static,
{
    let merge = Arc::new(f);
    slots.iter().for_each(|slot| slot.merge_with(Arc::clone(&merge)));
    CombinedPanes { merge, types: PhantomData }
}

/// Reduces event-time windows by key.
pub fn event_window<K, V, F>(
    input: &CombinedPanes<K, V, F>,
    _: &Clock,
    windows: Windows,
) -> EventWindow<K, V, F>
where
    V: Record,
    F: Fn(&mut V, V::View<'_>) + Send + Sync + 'static,
{
    EventWindow { windows, merge: Arc::clone(&input.merge), types: PhantomData }
}

/// The greatest times of records, by split.
pub struct Times(());

/// What marking tails make.
#[must_use]
pub fn times<const N: usize>(_: [Slot<Marks>; N]) -> Times {
    Times(())
}

/// The watermark of a batch, sent to every partition.
pub struct Clock(());

/// What the tail of a watermark makes.
#[must_use]
pub fn clock<const N: usize>(_: [Slot<Broadcast<i64>>; N]) -> Clock {
    Clock(())
}

/// A key like that of the stream on the left of a join.
#[diagnostic::on_unimplemented(
    message = "the streams of this join have different keys",
    label = "the stream on the left has keys of type `{Left}`, the one on the right of type `{Self}`",
    note = "give both the same type of key, with `.key_by(…)` or `.map(|record| (key, value))`"
)]
pub trait SameKey<Left> {}

impl<K> SameKey<K> for K {}

/// Joins by key.
#[must_use]
pub fn join<K, J, L, R>(_: &Keyed<K, L>, _: &Keyed<J, R>) -> Join<K, L, R>
where
    K: Key,
    J: SameKey<K>,
    L: Record,
    R: Record,
{
    Join(PhantomData)
}

/// Joins by key, and keeps what has no right side.
#[must_use]
pub fn left_outer_join<K, J, L, R>(_: &Keyed<K, L>, _: &Keyed<J, R>) -> LeftOuterJoin<K, L, R>
where
    K: Key,
    J: SameKey<K>,
    L: Record,
    R: Record,
{
    LeftOuterJoin(PhantomData)
}

/// Joins by key, and keeps what has no left side.
#[must_use]
pub fn right_outer_join<K, J, L, R>(_: &Keyed<K, L>, _: &Keyed<J, R>) -> RightOuterJoin<K, L, R>
where
    K: Key,
    J: SameKey<K>,
    L: Record,
    R: Record,
{
    RightOuterJoin(PhantomData)
}

/// Joins by key, and keeps what has no other side.
#[must_use]
pub fn full_outer_join<K, J, L, R>(_: &Keyed<K, L>, _: &Keyed<J, R>) -> FullOuterJoin<K, L, R>
where
    K: Key,
    J: SameKey<K>,
    L: Record,
    R: Record,
{
    FullOuterJoin(PhantomData)
}

/// Lists the values of both streams by key.
#[must_use]
pub fn cogroup<K, J, L, R>(_: &Keyed<K, L>, _: &Keyed<J, R>) -> Cogroup<K, L, R>
where
    K: Key,
    J: SameKey<K>,
    L: Record,
    R: Record,
{
    Cogroup(PhantomData)
}

/// Keeps what has no right side.
#[must_use]
pub fn subtract_by_key<K, J, L, R>(_: &Keyed<K, L>, _: &Keyed<J, R>) -> SubtractByKey<K, L, R>
where
    K: Key,
    J: SameKey<K>,
    L: Record,
    R: Record,
{
    SubtractByKey(PhantomData)
}

/// Reads rows.
#[must_use]
pub fn rows_of<R: Record>(_: &RowsToken<R>) -> RowsOf<R> {
    RowsOf(PhantomData)
}

/// Reads the rows of a window.
#[must_use]
pub fn window<R: Record>(_: &RowsToken<R>, span: Span) -> Window<R> {
    Window { span, record: PhantomData }
}

/// Reduces partial values to one.
pub fn reduce<R: Record, F, const N: usize>(slots: [Slot<Fold<R, F>>; N], f: F) -> Reduce<R, F>
where
    F: Fn(&mut R, R::View<'_>) + Send + Sync + 'static,
{
    let merge = Arc::new(f);
    slots.iter().for_each(|slot| slot.merge_with(Arc::clone(&merge)));
    Reduce { merge, record: PhantomData }
}

/// Adds up partial counts.
pub fn count<const N: usize>(_: [Slot<Tally>; N]) -> CountAll {
    CountAll
}

/// Keeps the best `k` of the partial best.
pub fn top_k<S: Record, R: Record, const N: usize>(
    slots: [Slot<Top<S, R>>; N],
    k: usize,
) -> TopK<S, R> {
    slots.iter().for_each(|slot| slot.keep(k));
    TopK { k, record: PhantomData }
}

/// Keeps the best `k` of each window.
#[must_use]
pub fn window_top_k<S: Record, R: Record, const N: usize>(
    slots: [Slot<WindowTop<S, R>>; N],
    k: usize,
) -> WindowTopK<S, R> {
    slots.iter().for_each(|slot| slot.keep(k));
    WindowTopK { k, record: PhantomData }
}

/// Sorts gathered records by the keys that stand beside them.
#[must_use]
pub fn sort_by<S: Record, R: Record, const N: usize>(
    _: [Slot<Gathered<(S, R)>>; N],
) -> SortBy<S, R> {
    SortBy(PhantomData)
}

/// Numbers gathered records.
#[must_use]
pub fn zip_with_index<R: Record, const N: usize>(_: [Slot<Gathered<R>>; N]) -> ZipWithIndex<R> {
    ZipWithIndex(PhantomData)
}

/// Reads the rows of a partition as one list.
#[must_use]
pub fn partition_rows<R: Record>(_: &RowsToken<R>) -> PartitionRows<R> {
    PartitionRows(PhantomData)
}

/// Lists the values of each key.
#[must_use]
pub fn group_by_key<K: Key, V: Record>(_: &Keyed<K, V>) -> GroupByKey<K, V> {
    GroupByKey(PhantomData)
}

/// Lists the values of each key over a window.
#[must_use]
pub fn window_group<K: Key, V: Record>(_: &Keyed<K, V>, span: Span) -> WindowGroup<K, V> {
    WindowGroup { span, types: PhantomData }
}
