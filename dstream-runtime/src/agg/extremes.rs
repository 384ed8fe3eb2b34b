//! The least and the greatest values.

use std::marker::PhantomData;

use super::{Aggregate, Kind, Partial};
use crate::record::{List, Record};

/// See [`max()`] and [`min()`].
#[derive(Debug, Clone, Copy)]
pub struct Extreme<M>(PhantomData<M>);

/// Keeps the greatest.
#[derive(Debug, Clone, Copy)]
pub struct Greatest;
/// Keeps the least.
#[derive(Debug, Clone, Copy)]
pub struct Least;

/// The greatest value, in the order of records: of numbers by size, of texts by bytes, of tuples part by part.
#[must_use]
pub fn max() -> Extreme<Greatest> {
    Extreme(PhantomData)
}

/// The least value, in the same order.
#[must_use]
pub fn min() -> Extreme<Least> {
    Extreme(PhantomData)
}

impl<T: Record> Kind<T> for Greatest {
    type Output = T;
    #[inline]
    fn merge(into: &mut T, other: T::View<'_>) {
        if T::compare(into.view(), other).is_lt() {
            *into = T::own(other);
        }
    }
    fn finish(view: T::View<'_>) -> T {
        T::own(view)
    }
}

impl<T: Record> Kind<T> for Least {
    type Output = T;
    #[inline]
    fn merge(into: &mut T, other: T::View<'_>) {
        if T::compare(into.view(), other).is_gt() {
            *into = T::own(other);
        }
    }
    fn finish(view: T::View<'_>) -> T {
        T::own(view)
    }
}

impl<T: Record, M: Kind<T>> Aggregate<T> for Extreme<M> {
    type Acc = Partial<T, M>;
    #[inline]
    fn begin(&self, value: T::View<'_>) -> Self::Acc {
        Partial::new(T::own(value))
    }
}

/// See [`max_by()`].
#[derive(Debug, Clone, Copy)]
pub struct MaxBy;
/// See [`min_by()`].
#[derive(Debug, Clone, Copy)]
pub struct MinBy;

/// Of pairs `(score, value)` the value with the greatest score; of equal scores the greatest value.
#[must_use]
pub fn max_by() -> MaxBy {
    MaxBy
}

/// Of pairs `(score, value)` the value with the least score, such as the first one by a time; of equal scores the least value.
#[must_use]
pub fn min_by() -> MinBy {
    MinBy
}

/// Gives the value of the pair that another kind keeps.
#[derive(Debug, Clone, Copy)]
pub struct ValueOf<M>(PhantomData<M>);

impl<S: Record, T: Record, M> Kind<(S, T)> for ValueOf<M>
where
    M: Kind<(S, T)>,
{
    type Output = T;
    fn merge(into: &mut (S, T), other: <(S, T) as Record>::View<'_>) {
        M::merge(into, other);
    }
    fn finish((_, value): <(S, T) as Record>::View<'_>) -> T {
        T::own(value)
    }
}

impl<S: Record, T: Record> Aggregate<(S, T)> for MaxBy {
    type Acc = Partial<(S, T), ValueOf<Greatest>>;
    fn begin(&self, value: <(S, T) as Record>::View<'_>) -> Self::Acc {
        Partial::new(<(S, T)>::own(value))
    }
}

impl<S: Record, T: Record> Aggregate<(S, T)> for MinBy {
    type Acc = Partial<(S, T), ValueOf<Least>>;
    fn begin(&self, value: <(S, T) as Record>::View<'_>) -> Self::Acc {
        Partial::new(<(S, T)>::own(value))
    }
}

/// See [`top_k()`].
#[derive(Debug, Clone, Copy)]
pub struct TopK(u32);

/// The `k` greatest values in the order of records, the greatest first: of pairs `(score, value)` those with the greatest
/// scores. Equal ones count each.
#[must_use]
pub fn top_k(k: u32) -> TopK {
    TopK(k)
}

/// Keeps that many, the greatest first.
#[derive(Debug, Clone, Copy)]
pub struct Best;

impl<T: Record> Kind<(u32, Vec<T>)> for Best {
    type Output = Vec<T>;
    fn merge((k, best): &mut (u32, Vec<T>), (_, more): (u32, List<'_, T>)) {
        for value in more {
            let at = best.partition_point(|kept| T::compare(kept.view(), value).is_ge());
            if at < *k as usize {
                best.insert(at, T::own(value));
                best.truncate(*k as usize);
            }
        }
    }
    fn finish((_, best): (u32, List<'_, T>)) -> Vec<T> {
        Vec::own(best)
    }
}

impl<T: Record> Aggregate<T> for TopK {
    type Acc = Partial<(u32, Vec<T>), Best>;
    fn begin(&self, value: T::View<'_>) -> Self::Acc {
        let best = if self.0 == 0 { Vec::new() } else { vec![T::own(value)] };
        Partial::new((self.0, best))
    }
}
