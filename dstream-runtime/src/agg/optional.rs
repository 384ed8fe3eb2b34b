//! Aggregates of the values that are there.

use super::{Accumulator, Aggregate};
use crate::record::Record;

/// See [`some()`].
#[derive(Debug, Clone, Copy)]
pub struct OfSome<A>(A);

/// What another aggregate makes of the values that are `Some`, and `None` where none is: `FILTER (WHERE …)` of SQL.
#[must_use]
pub fn some<A>(aggregate: A) -> OfSome<A> {
    OfSome(aggregate)
}

impl<T: Record, A: Aggregate<T>> Aggregate<Option<T>> for OfSome<A> {
    type Acc = Option<A::Acc>;
    #[inline]
    fn begin(&self, value: Option<T::View<'_>>) -> Self::Acc {
        value.map(|value| self.0.begin(value))
    }
}

impl<A: Accumulator> Accumulator for Option<A> {
    type Output = Option<A::Output>;
    #[inline]
    fn merge(&mut self, other: Self::View<'_>) {
        let Some(other) = other else { return };
        match self {
            Some(all) => all.merge(other),
            None => *self = Some(A::own(other)),
        }
    }
    fn finish(view: Self::View<'_>) -> Self::Output {
        view.map(A::finish)
    }
}
