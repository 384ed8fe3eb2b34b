//! All values of a key in an event-time window or session, as a list in the order of their times.
//!
//! Values are kept with their times, and merged by putting lists together. The order is made when a window closes: by
//! time, and among equal times by the values' own order, so that it does not depend on how the records came.

use std::marker::PhantomData;

use super::TaskContext;
use crate::exec::event_time::Bounds;
use crate::exec::stage::Head;
use crate::exec::task::TaskError;
use crate::record::{Key, List, Record};

/// Values with their times.
pub type TimedValues<V> = Vec<(i64, V)>;

/// Puts values behind others.
pub type Append<V> = fn(&mut TimedValues<V>, List<'_, (i64, V)>);

/// See [`Append`].
pub(crate) fn append<V: Record>(values: &mut TimedValues<V>, more: List<'_, (i64, V)>) {
    values.extend(more.iter().map(<(i64, V)>::own));
}

/// Makes lists of what another head has put together.
pub struct TimedLists<H, K, V> {
    inner: H,
    types: PhantomData<fn() -> (K, V)>,
}

impl<H, K, V> TimedLists<H, K, V> {
    pub(crate) fn new(inner: H) -> Self {
        Self { inner, types: PhantomData }
    }
}

impl<H, K: Key, V: Record> Head for TimedLists<H, K, V>
where
    H: Head<Record = (Bounds, (K, TimedValues<V>))>,
{
    type Record = (Bounds, (K, Vec<V>));
    type State = H::State;
    type Change = H::Change;

    fn run(
        &self,
        cx: &mut TaskContext<'_>,
        state: &mut H::State,
        mut emit: impl for<'a> FnMut((Bounds, (K::View<'a>, List<'a, V>))),
    ) -> Result<H::Change, TaskError> {
        self.inner.run(cx, state, |(bounds, (key, list))| {
            let mut timed: Vec<_> = list.iter().collect();
            timed.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| V::compare(a.1, b.1)));
            let values: Vec<V> = timed.into_iter().map(|(_, value)| V::own(value)).collect();
            // Its own, since the list does not live as long as the view.
            let key = K::own(key);
            emit((bounds, (key.view(), List::Owned(&values))));
        })
    }

    fn commit(&self, cx: &TaskContext<'_>, state: &mut H::State, change: H::Change) {
        self.inner.commit(cx, state, change);
    }
}
