//! What flows between stages, as generated code names it: tokens that carry the types of a stage's tails to the heads
//! of later stages, and the functions that make one of the other.

use std::marker::PhantomData;
use std::sync::Arc;

use super::context::Context;
use super::event_time::Windows;
use super::head::{
    Append, Cogroup, CountAll, EventWindow, Expiring, Firsts, FullOuterJoin, GroupByKey, Join,
    LeftOuterJoin, Merge, NoInverse, PartitionRows, Reduce, Remembered, RightOuterJoin, RowsOf,
    Running, SessionReduce, SortBy, Span, SubtractByKey, TimedLists, TimedValues, TopK, Track,
    UpdateState, Window, WindowGroup, WindowReduce, WindowTopK, ZipWithIndex, append,
};
use super::keyed::{KeyContext, Out, State};
use super::tail::{
    Broadcast, Combine, CombinePanes, Fold, Gathered, Marks, Rows, Slot, Spread, Tail, Tally, Top,
    WindowTop,
};
use crate::record::{AsRecord, Key, Record};

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

/// The tail that lists the values of panes.
type ListPanes<K, V> = CombinePanes<K, TimedValues<V>, Append<V>>;

/// Gives tails that list the values of panes their function.
pub fn listed_panes<K, V, const N: usize>(
    slots: [Slot<ListPanes<K, V>>; N],
) -> CombinedPanes<K, TimedValues<V>, Append<V>>
where
    K: Key,
    V: Record,
{
    combined_panes(slots, append::<V>)
}

/// Groups event-time windows by key.
pub fn event_groups<K: Key, V: Record>(
    input: &CombinedPanes<K, TimedValues<V>, Append<V>>,
    clock: &Clock,
    windows: Windows,
) -> TimedLists<EventWindow<K, TimedValues<V>, Append<V>>, K, V> {
    TimedLists::new(event_window(input, clock, windows))
}

/// Reduces sessions of records, which come with their times, by key; the gap is in milliseconds.
pub fn session_reduce<K, V, F>(
    _: &Keyed<K, (i64, V)>,
    _: &Clock,
    gap: i64,
    f: F,
) -> SessionReduce<K, V, F>
where
    K: Key,
    V: Record,
    F: Fn(&mut V, V::View<'_>) + Send + Sync + 'static,
{
    SessionReduce { gap, merge: Arc::new(f), types: PhantomData }
}

/// Groups sessions by key.
pub fn session_groups<K: Key, V: Record>(
    input: &Keyed<K, (i64, TimedValues<V>)>,
    clock: &Clock,
    gap: i64,
) -> TimedLists<SessionReduce<K, TimedValues<V>, Append<V>>, K, V> {
    let append: Append<V> = append::<V>;
    TimedLists::new(session_reduce(input, clock, gap, append))
}

/// A value with its time, as a list of one.
pub fn timed_list<T: AsRecord>(time: i64, value: T) -> TimedValues<T::Record> {
    vec![(time, value.into_record())]
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
