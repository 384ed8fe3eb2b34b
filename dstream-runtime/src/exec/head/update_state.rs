//! `update_state_by_key`: the state of every key, computed anew in every batch.

use std::marker::PhantomData;

use super::keyed_state::KeyedState;
use super::side::{Side, held};
use super::{TaskContext, blocks};
use crate::exec::context::{Context, Scope, context};
use crate::exec::stage::Head;
use crate::exec::table::KeyTable;
use crate::exec::task::TaskError;
use crate::record::{Key, KeyReader, Record};

/// Calls `F` for every key, with what the batch brings and with the state so far.
pub struct UpdateState<K, V, S, F> {
    pub(crate) update: F,
    /// Which operator it is: see [`context`].
    pub(crate) operator: u64,
    pub(crate) types: PhantomData<Types<K, V, S>>,
}

/// The records that go in, and what is kept.
type Types<K, V, S> = fn() -> (K, V, S);

impl<K: Key, V: Record, S: Record, F> Head for UpdateState<K, V, S, F>
where
    F: for<'a> Fn(&[V::View<'a>], Option<S>, Context<'_>) -> Option<S> + Send + Sync + 'static,
{
    type Record = (K, S);
    type State = KeyedState<K, S>;
    /// The keys whose states have changed, and those that are removed.
    type Change = KeyTable<Option<S>>;

    fn run(
        &self,
        cx: &mut TaskContext<'_>,
        before: &mut Self::State,
        mut emit: impl for<'a> FnMut((K::View<'a>, S::View<'a>)),
    ) -> Result<Self::Change, TaskError> {
        let scope = Scope::of(cx);
        let context = context(&scope, self.operator);
        let held = held(blocks(cx, 0))?;
        let side = Side::<V>::of(&held)?;
        let mut values = Vec::new();
        let mut change = KeyTable::new();
        // Those that have a state, in its order; then new ones, in the order in which they came.
        for (key, hash, state) in before.iter() {
            values.clear();
            side.each(key, hash, |value| values.push(value));
            let next = (self.update)(&values, Some(S::own(state.view())), context);
            if let Some(next) = &next {
                emit((K::read(&mut KeyReader::new(key)), next.view()));
            }
            let same = |next: &S| S::compare(next.view(), state.view()).is_eq();
            if !next.as_ref().is_some_and(same) {
                change.upsert_with(key, hash, next, |next| next, |_, _| ());
            }
        }
        for entry in side.entries() {
            let (key, hash) = side.key(entry);
            if before.get(key, hash).is_some() {
                continue;
            }
            values.clear();
            values.extend(side.rows(entry));
            if let Some(first) = (self.update)(&values, None, context) {
                emit((K::read(&mut KeyReader::new(key)), first.view()));
                change.upsert_with(key, hash, Some(first), |first| first, |_, _| ());
            }
        }
        Ok(change)
    }

    fn commit(&self, _: &TaskContext<'_>, state: &mut Self::State, mut change: Self::Change) {
        change.drain(|key, hash, next| match next {
            Some(next) => state.replace(key, hash, next, None),
            None => state.remove(key, hash),
        });
        state.tidy();
    }
}
