//! An accumulator made of a record that exists already: the same bytes, with a kind that says how they are merged.

use std::cmp::Ordering;
use std::fmt;
use std::marker::PhantomData;

use super::Accumulator;
use crate::record::{AsRecord, FieldError, Fields, Record, Schema, Visitor};

/// How records of a type are merged, and what they come to.
pub trait Kind<T: Record>: Send + Sync + 'static {
    /// The result.
    type Output: Record;
    /// See [`Accumulator::merge`].
    fn merge(into: &mut T, other: T::View<'_>);
    /// See [`Accumulator::finish`].
    fn finish(view: T::View<'_>) -> Self::Output;
}

/// A record with a kind.
pub struct Partial<T, M>(pub(super) T, PhantomData<fn() -> M>);

impl<T, M> Partial<T, M> {
    /// A record of that kind.
    pub(super) fn new(record: T) -> Self {
        Self(record, PhantomData)
    }
}

/// A view of a [`Partial`].
pub struct PartialView<'a, T: Record, M>(T::View<'a>, PhantomData<fn() -> M>);

impl<T: Record, M> Clone for PartialView<'_, T, M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: Record, M> Copy for PartialView<'_, T, M> {}

impl<T: Record, M> fmt::Debug for PartialView<'_, T, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<T: Record, M: Kind<T>> AsRecord for PartialView<'_, T, M> {
    type Record = Partial<T, M>;
    fn as_view(&self) -> PartialView<'_, T, M> {
        // Through a record: a view cannot be made shorter.
        PartialView(self.0.as_view(), PhantomData)
    }
    fn into_record(self) -> Partial<T, M> {
        Partial::new(T::own(self.0))
    }
}

impl<T: Record, M: Kind<T>> AsRecord for Partial<T, M> {
    type Record = Self;
    fn as_view(&self) -> PartialView<'_, T, M> {
        self.view()
    }
    fn into_record(self) -> Self {
        self
    }
}

impl<T: Record, M: Kind<T>> Record for Partial<T, M> {
    type View<'a> = PartialView<'a, T, M>;
    type Archived = T::Archived;
    type Wire<'a> = T::Wire<'a>;
    type Draft<'a> = T::Draft<'a>;
    const SCHEMA: Schema = T::SCHEMA;
    // Merges of any grouping have the same result.
    const EXACT: bool = true;
    const INLINE: bool = T::INLINE;

    fn view(&self) -> PartialView<'_, T, M> {
        PartialView(self.0.view(), PhantomData)
    }
    fn view_archived(archived: &T::Archived) -> PartialView<'_, T, M> {
        PartialView(T::view_archived(archived), PhantomData)
    }
    fn view_draft<'d, 'a: 'd>(draft: &'d T::Draft<'a>) -> PartialView<'d, T, M> {
        PartialView(T::view_draft(draft), PhantomData)
    }
    fn own(view: PartialView<'_, T, M>) -> Self {
        Self::new(T::own(view.0))
    }
    fn wire<'a: 'a>(view: PartialView<'a, T, M>) -> T::Wire<'a> {
        T::wire(view.0)
    }
    fn compare(a: PartialView<'_, T, M>, b: PartialView<'_, T, M>) -> Ordering {
        T::compare(a.0, b.0)
    }
    fn visit<V: Visitor>(view: PartialView<'_, T, M>, visitor: &mut V) {
        T::visit(view.0, visitor);
    }
    fn from_fields<'a>(fields: &mut Fields<'a>) -> Result<PartialView<'a, T, M>, FieldError> {
        Ok(PartialView(T::from_fields(fields)?, PhantomData))
    }
}

impl<T: Record, M: Kind<T>> Accumulator for Partial<T, M> {
    type Output = M::Output;
    #[inline]
    fn merge(&mut self, other: PartialView<'_, T, M>) {
        M::merge(&mut self.0, other.0);
    }
    fn finish(view: PartialView<'_, T, M>) -> M::Output {
        M::finish(view.0)
    }
}
