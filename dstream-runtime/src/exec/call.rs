//! The small functions that generated kernels are made of.
//!
//! A closure that is passed *after* its argument needs no annotations: rustc takes its parameter types
//! from the argument. All of these vanish when optimised.

use crate::record::{AsPair, AsRecord, Record};

/// Calls `f` with `x`.
#[inline(always)]
pub fn call<X, T>(x: X, f: impl FnOnce(X) -> T) -> T {
    f(x)
}

/// Calls `f` with `a` and `b`.
#[inline(always)]
pub fn call2<A, B, T>(a: A, b: B, f: impl FnOnce(A, B) -> T) -> T {
    f(a, b)
}

/// Calls a predicate.
#[inline(always)]
pub fn test<X>(x: X, f: impl FnOnce(X) -> bool) -> bool {
    f(x)
}

/// Views what a closure returned.
#[inline(always)]
pub fn as_view<T: AsRecord>(value: &T) -> <T::Record as Record>::View<'_> {
    value.as_view()
}

/// Makes what a closure returned a record.
#[inline(always)]
pub fn into_record<T: AsRecord>(value: T) -> T::Record {
    value.into_record()
}

/// Views a record.
#[inline(always)]
pub fn view<R: Record>(record: &R) -> R::View<'_> {
    record.view()
}

/// What a `flat_map` returned, as an iterator.
#[inline(always)]
pub fn items<I: IntoIterator>(items: I) -> I::IntoIter {
    items.into_iter()
}

/// What a `filter_map` returned.
#[inline(always)]
pub fn option<T>(value: Option<T>) -> Option<T> {
    value
}

/// The key and the value of a keyed record.
#[inline(always)]
#[allow(clippy::type_complexity)]
pub fn pair<P: AsPair>(pair: &P) -> (<P::Key as Record>::View<'_>, <P::Value as Record>::View<'_>) {
    pair.parts()
}
