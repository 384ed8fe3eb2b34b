//! `track`: what a function of the program keeps of each key, with a timeout and timers.
//!
//! Before the records of a batch, the keys whose timers or timeouts are due are called, in the order of their times;
//! then the records, in their order. All of this happens on copies of what the keys have kept, which become the state
//! when the task has succeeded. So a batch costs by the keys that are called, and not by those that there are.

use std::marker::PhantomData;

use super::expiring::forgotten_at;
use super::keyed_state::KeyedState;
use super::{TaskContext, blocks};
use crate::block::KeyedRow;
use crate::exec::context::{Context, Scope, context};
use crate::exec::keyed::{KeyContext, Out, State};
use crate::exec::stage::Head;
use crate::exec::table::KeyTable;
use crate::exec::task::TaskError;
use crate::record::{Key, KeyReader, Record};

/// The functions of a program that keeps something per key: `F` is called per record, `O` once per key that times
/// out, and `A` per timer that is due.
pub struct Track<K, V, S, R, F, O, A> {
    pub(crate) functions: (F, O, A),
    /// After how many milliseconds without a record a key times out.
    pub(crate) timeout: Option<u64>,
    /// Which operator it is: see [`context`].
    pub(crate) operator: u64,
    pub(crate) types: PhantomData<Types<K, V, S, R>>,
}

/// The records that go in and out, and what is kept.
type Types<K, V, S, R> = fn() -> (K, V, S, R);

/// What a key has kept: the state, the time of the batch with its last record, and its timers, ascending.
type Kept<S> = (Option<S>, u64, Vec<u64>);

/// A copy of that, while a batch changes it.
pub struct Working<S> {
    state: State<S>,
    touched: u64,
    timers: Vec<u64>,
}

impl<S: Record> Working<S> {
    fn of(kept: Option<&Kept<S>>) -> Self {
        match kept {
            None => Self { state: State(None), touched: 0, timers: Vec::new() },
            Some((state, touched, timers)) => {
                let state = State(state.as_ref().map(|state| S::own(state.view())));
                Self { state, touched: *touched, timers: timers.clone() }
            }
        }
    }

    /// Calls a function that may change it. A state that is removed takes the timers from before with it, and one
    /// that begins is touched by that.
    fn call<'t>(
        &mut self,
        context: Context<'t>,
        f: impl FnOnce(&mut State<S>, &mut KeyContext<'t>),
    ) {
        let (had, mut context) = (self.state.exists(), KeyContext::new(context));
        f(&mut self.state, &mut context);
        if context.canceled || (had && !self.state.exists()) {
            self.timers.clear();
        }
        if !had && self.state.exists() {
            self.touched = context.batch_time();
        }
        if !context.set.is_empty() {
            self.timers.append(&mut context.set);
            self.timers.sort_unstable();
            self.timers.dedup();
        }
    }
}

/// Why a key is called without a record; in the order of calls at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Wake {
    Timer,
    Timeout,
}

impl<K: Key, V: Record, S: Record, R: Record, F, O, A> Track<K, V, S, R, F, O, A> {
    /// When a key times out that has kept something.
    fn times_out(&self, has_state: bool, touched: u64) -> Option<u64> {
        self.timeout.filter(|_| has_state).map(|timeout| forgotten_at(touched, timeout))
    }

    /// When a key is due, if ever.
    fn due(&self, (state, touched, timers): &Kept<S>) -> Option<u64> {
        let timeout = self.times_out(state.is_some(), *touched);
        timers.first().copied().into_iter().chain(timeout).min()
    }

    /// All calls that are due by `now`, in order: by time, then timers before timeouts, then by the key's place in the
    /// state.
    fn wakes(&self, state: &mut KeyedState<K, Kept<S>>, now: u64) -> Vec<(u64, Wake, u32)> {
        let due = state.due(now, |kept| self.due(kept));
        let mut wakes = Vec::with_capacity(due.len());
        for (_, entry) in due {
            let (_, _, (kept, touched, timers)) = state.at(entry);
            let timers = timers.iter().filter(|at| **at <= now);
            wakes.extend(timers.map(|at| (*at, Wake::Timer, entry)));
            let timeout = self.times_out(kept.is_some(), *touched).filter(|at| *at <= now);
            wakes.extend(timeout.map(|at| (at, Wake::Timeout, entry)));
        }
        wakes.sort_unstable();
        wakes
    }
}

/// The copy that a batch works on.
fn working<'w, K: Key, S: Record>(
    batch: &'w mut KeyTable<Working<S>>,
    before: &KeyedState<K, Kept<S>>,
    key: &[u8],
    hash: u64,
) -> &'w mut Working<S> {
    let first = |()| Working::of(before.get(key, hash));
    let (entry, _) = batch.upsert_with(key, hash, (), first, |_, ()| ());
    batch.value_mut(entry)
}

impl<K: Key, V: Record, S: Record, R: Record, F, O, A> Head for Track<K, V, S, R, F, O, A>
where
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
    type Record = R;
    type State = KeyedState<K, Kept<S>>;
    /// The keys that were called, and what they keep now.
    type Change = KeyTable<Working<S>>;

    fn run(
        &self,
        cx: &mut TaskContext<'_>,
        before: &mut Self::State,
        mut emit: impl for<'a> FnMut(R::View<'a>),
    ) -> Result<Self::Change, TaskError> {
        let (now, scope) = (cx.time.millis(), Scope::of(cx));
        let context = context(&scope, self.operator);
        let (record, timed_out, timer) = &self.functions;
        let mut out = Out(&mut emit);
        let mut batch = KeyTable::new();
        for (at, wake, entry) in self.wakes(before, now) {
            let (key, hash, _) = before.at(entry);
            let working = working(&mut batch, before, key, hash);
            let view = K::read(&mut KeyReader::new(key));
            match wake {
                // An earlier call may have dropped it.
                Wake::Timer => {
                    let Ok(place) = working.timers.binary_search(&at) else { continue };
                    working.timers.remove(place);
                    working.call(context, |state, cx| timer(view, at, state, cx, &mut out));
                }
                Wake::Timeout => {
                    let Some(state) = working.state.0.take() else { continue };
                    working.timers.clear();
                    timed_out(view, state.view(), context, &mut out);
                }
            }
        }
        for block in blocks(cx, 0) {
            for KeyedRow { key, hash, value } in block.get()?.keyed::<V>()? {
                let working = working(&mut batch, before, key, hash);
                working.touched = now;
                let view = K::read(&mut KeyReader::new(key));
                working.call(context, |state, cx| record(view, value, state, cx, &mut out));
            }
        }
        Ok(batch)
    }

    fn commit(&self, _: &TaskContext<'_>, state: &mut Self::State, mut change: Self::Change) {
        change.drain(|key, hash, Working { state: State(value), touched, timers }| {
            if value.is_none() && timers.is_empty() {
                state.remove(key, hash);
                return;
            }
            let kept = (value, touched, timers);
            let due = self.due(&kept);
            state.replace(key, hash, kept, due);
        });
        state.tidy();
    }
}
