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

/// Calls `f` with three arguments.
#[inline(always)]
pub fn call3<A, B, C, T>(a: A, b: B, c: C, f: impl FnOnce(A, B, C) -> T) -> T {
    f(a, b, c)
}

/// Calls `f` with four arguments.
#[inline(always)]
pub fn call4<A, B, C, D, T>(a: A, b: B, c: C, d: D, f: impl FnOnce(A, B, C, D) -> T) -> T {
    f(a, b, c, d)
}

/// Calls `f` with `x` and its context.
#[inline(always)]
pub fn call_with<X, C, T>(x: X, context: C, f: impl FnOnce(X, C) -> T) -> T {
    f(x, context)
}

/// Calls a predicate.
#[inline(always)]
pub fn test<X>(x: X, f: impl FnOnce(X) -> bool) -> bool {
    f(x)
}

/// Calls a function that only looks at `x`.
#[inline(always)]
pub fn inspect<X>(x: X, f: impl FnOnce(X)) {
    f(x);
}

/// Calls a function that only looks at `x`, with its context.
#[inline(always)]
pub fn inspect_with<X, C>(x: X, context: C, f: impl FnOnce(X, C)) {
    f(x, context);
}

/// Calls a predicate with `x` and its context.
#[inline(always)]
pub fn test_with<X, C>(x: X, context: C, f: impl FnOnce(X, C) -> bool) -> bool {
    f(x, context)
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

/// Makes what a closure returned a record or none.
#[inline(always)]
pub fn into_option<T: AsRecord>(value: Option<T>) -> Option<T::Record> {
    value.map(T::into_record)
}

/// Views a record.
#[inline(always)]
pub fn view<R: Record>(record: &R) -> R::View<'_> {
    record.view()
}

/// Calls a function that makes a record or none.
#[inline(always)]
pub fn call_option<X, T>(x: X, f: impl FnOnce(X) -> Option<T>) -> Option<T> {
    f(x)
}

/// Calls a function of `x` and its context that makes a record or none.
#[inline(always)]
pub fn call_option_with<X, C, T>(x: X, context: C, f: impl FnOnce(X, C) -> Option<T>) -> Option<T> {
    f(x, context)
}

/// What a `flat_map` returned, as an iterator.
#[inline(always)]
pub fn items<I: IntoIterator>(items: I) -> I::IntoIter {
    items.into_iter()
}

/// The next of what a `flat_map` returned.
#[inline(always)]
pub fn next<I: Iterator>(items: &mut I) -> Option<I::Item> {
    items.next()
}

/// A kernel, which holds a clone of every `let` that its closures mention.
#[derive(Debug)]
pub struct Kernel;

/// What a kernel can hold.
#[diagnostic::on_unimplemented(
    message = "a closure mentions a `{T}`, which cannot be cloned",
    label = "every kernel gets a clone of its own of this",
    note = "derive `Clone` for `{T}`, or put the value into a `std::sync::Arc`"
)]
pub trait Holds<T> {
    /// A clone.
    fn hold(value: &T) -> T;
}

#[diagnostic::do_not_recommend]
impl<T: Clone> Holds<T> for Kernel {
    fn hold(value: &T) -> T {
        value.clone()
    }
}

/// The kernel's own clone of a `let`.
pub fn capture<T>(value: &T) -> T
where
    Kernel: Holds<T>,
{
    Kernel::hold(value)
}

/// The key and the value of a keyed record.
#[inline(always)]
#[allow(clippy::type_complexity)]
pub fn pair<P: AsPair>(pair: &P) -> (<P::Key as Record>::View<'_>, <P::Value as Record>::View<'_>) {
    pair.parts()
}
