//! Tuples of records.

use std::cmp::Ordering;

use rkyv::tuple::*;

use super::{AsRecord, FieldError, Fields, Record, Schema, Visitor};

macro_rules! tuples {
    ($($archived:ident ($($t:ident $i:tt),*);)*) => {$(
        impl<$($t: Record),*> Record for ($($t,)*) {
            type View<'a> = ($($t::View<'a>,)*);
            type Archived = $archived<$($t::Archived),*>;
            type Wire<'a> = ($($t::Wire<'a>,)*);
            type Draft<'a> = ($($t::Draft<'a>,)*);
            const SCHEMA: Schema = Schema::Tuple(&[$($t::SCHEMA),*]);
            const EXACT: bool = $($t::EXACT)&&*;
            const INLINE: bool = $($t::INLINE)&&*;

            #[inline(always)]
            fn view(&self) -> Self::View<'_> { ($(self.$i.view(),)*) }
            #[inline(always)]
            fn view_archived(archived: &Self::Archived) -> Self::View<'_> {
                ($($t::view_archived(&archived.$i),)*)
            }
            #[inline(always)]
            fn view_draft<'d, 'a: 'd>(draft: &'d Self::Draft<'a>) -> Self::View<'d> {
                ($($t::view_draft(&draft.$i),)*)
            }
            #[inline]
            fn own(view: Self::View<'_>) -> Self { ($($t::own(view.$i),)*) }
            #[inline(always)]
            fn wire<'a: 'a>(view: Self::View<'a>) -> Self::Wire<'a> { ($($t::wire(view.$i),)*) }
            fn compare(a: Self::View<'_>, b: Self::View<'_>) -> Ordering {
                Ordering::Equal$(.then_with(|| $t::compare(a.$i, b.$i)))*
            }
            fn visit<V: Visitor>(view: Self::View<'_>, visitor: &mut V) {
                visitor.begin_tuple();
                $(visitor.item($i); $t::visit(view.$i, visitor);)*
                visitor.end_tuple();
            }
            fn from_fields<'a>(fields: &mut Fields<'a>) -> Result<Self::View<'a>, FieldError> {
                Ok(($($t::from_fields(fields)?,)*))
            }
        }
        impl<$($t: AsRecord),*> AsRecord for ($($t,)*) {
            type Record = ($($t::Record,)*);
            #[inline(always)]
            fn as_view(&self) -> <Self::Record as Record>::View<'_> { ($(self.$i.as_view(),)*) }
            #[inline]
            fn into_record(self) -> Self::Record { ($(self.$i.into_record(),)*) }
        }
    )*};
}

tuples! {
    ArchivedTuple1 (A 0);
    ArchivedTuple2 (A 0, B 1);
    ArchivedTuple3 (A 0, B 1, C 2);
    ArchivedTuple4 (A 0, B 1, C 2, D 3);
    ArchivedTuple5 (A 0, B 1, C 2, D 3, E 4);
    ArchivedTuple6 (A 0, B 1, C 2, D 3, E 4, F 5);
    ArchivedTuple7 (A 0, B 1, C 2, D 3, E 4, F 5, G 6);
    ArchivedTuple8 (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);
}
