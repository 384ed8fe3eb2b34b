//! Aggregates: what the values of a key, of a batch or of a window come to, as values that compose.
//!
//! An [`Aggregate`] makes an [`Accumulator`] of each value; accumulators are merged, in any order and grouping, and finished
//! where the result is needed. Invariant: neither the order nor the grouping of merges changes a result, to the bit. So
//! a result depends neither on partitions nor on how input was cut into batches.
//!
//! In a job, `agg::mean(|v| v.celsius)` is the aggregate [`mean()`] of what the closure returns; without a closure it is that
//! of the values themselves.

mod extremes;
mod floats;
mod optional;
mod partial;
mod sets;
mod sketch;
mod sums;

use crate::record::{AsRecord, Record};

pub use extremes::{MaxBy, MinBy, TopK, max, max_by, min, min_by, top_k};
pub use optional::{OfSome, some};
pub use partial::{Kind, Partial, PartialView};
pub use sets::{ApproxDistinct, Distinct, approx_distinct, distinct};
pub use sketch::{Quantile, quantile};
pub use sums::{Count, Mean, Sum, Summed, Variance, count, mean, sum, variance};

/// How values of a type are aggregated.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not aggregate values of type `{In}`",
    label = "this aggregate does not take `{In}`",
    note = "`agg::NAME(|value| …)` aggregates what the closure returns: sums and means take integers and `f64`, `max_by` and `min_by` pairs `(score, value)`"
)]
pub trait Aggregate<In: Record> {
    /// What values are merged in.
    type Acc: Accumulator;
    /// That of one value.
    fn begin(&self, value: In::View<'_>) -> Self::Acc;
}

/// What some values have come to. Accumulators of a job of your own are records with `#[derive(Record)]`.
pub trait Accumulator: Record {
    /// The result.
    type Output: Record;
    /// Takes in what other values have come to. Any order and grouping of merges has the same result.
    fn merge(&mut self, other: Self::View<'_>);
    /// The result.
    fn finish(view: Self::View<'_>) -> Self::Output;
}

/// The accumulator of one value; called by generated code.
#[inline]
pub fn begin<T: AsRecord, A: Aggregate<T::Record>>(aggregate: &A, value: &T) -> A::Acc {
    aggregate.begin(value.as_view())
}

/// Merges two accumulators; called by generated code.
#[inline]
pub fn merge<A: Accumulator>(into: &mut A, other: A::View<'_>) {
    into.merge(other);
}

/// The result of an accumulator; called by generated code.
#[inline]
pub fn finish<T: AsRecord<Record: Accumulator>>(value: &T) -> <T::Record as Accumulator>::Output {
    <T::Record as Accumulator>::finish(value.as_view())
}

macro_rules! tuples {
    ($($name:ident $at:tt),+) => {
        impl<$($name: Accumulator),+> Accumulator for ($($name,)+) {
            type Output = ($($name::Output,)+);
            #[inline]
            fn merge(&mut self, other: Self::View<'_>) {
                $(self.$at.merge(other.$at);)+
            }
            fn finish(view: Self::View<'_>) -> Self::Output {
                ($($name::finish(view.$at),)+)
            }
        }
    };
}

tuples!(A 0, B 1);
tuples!(A 0, B 1, C 2);
tuples!(A 0, B 1, C 2, D 3);
tuples!(A 0, B 1, C 2, D 3, E 4);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);

#[cfg(test)]
mod tests;
