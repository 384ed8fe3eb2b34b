//! Tuples of records.

use std::cmp::Ordering;
use std::fmt;
use std::marker::PhantomData;

use rkyv::tuple::*;
use serde::de::value::UnitDeserializer;
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess,
};

use super::{AsRecord, FieldError, Fields, Record, Schema, Visitor, part_name};

/// A tuple parsed from JSON: from an array of its parts, or from an object with their names.
#[derive(Debug)]
pub struct TupleDraft<T>(T);

/// Which part of a tuple of `.0` parts a name stands for; none of what it does not know.
struct PartOf(usize);

impl<'de> DeserializeSeed<'de> for PartOf {
    type Value = Option<usize>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<usize>, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl serde::de::Visitor<'_> for PartOf {
    type Value = Option<usize>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a part")
    }
    fn visit_str<E>(self, name: &str) -> Result<Option<usize>, E> {
        Ok((0..self.0).find(|index| part_name(self.0, *index) == name))
    }
}

/// A part that an object does not have: the absent value of an `Option`, an error of anything else.
#[cold]
fn absent<'de, T: Deserialize<'de>, E: Error>(name: &'static str) -> Result<T, E> {
    T::deserialize(UnitDeserializer::<E>::new()).map_err(|_| E::missing_field(name))
}

macro_rules! tuples {
    ($($archived:ident $n:literal ($($t:ident $i:tt),*);)*) => {$(
        impl<$($t: Record),*> Record for ($($t,)*) {
            type View<'a> = ($($t::View<'a>,)*);
            type Archived = $archived<$($t::Archived),*>;
            type Wire<'a> = ($($t::Wire<'a>,)*);
            type Draft<'a> = TupleDraft<($($t::Draft<'a>,)*)>;
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
                ($($t::view_draft(&draft.0.$i),)*)
            }
            #[inline]
            fn own(view: Self::View<'_>) -> Self { ($($t::own(view.$i),)*) }
            #[inline(always)]
            fn wire<'a: 'a>(view: Self::View<'a>) -> Self::Wire<'a> { ($($t::wire(view.$i),)*) }
            fn compare(a: Self::View<'_>, b: Self::View<'_>) -> Ordering {
                Ordering::Equal$(.then_with(|| $t::compare(a.$i, b.$i)))*
            }
            fn visit<V: Visitor>(view: Self::View<'_>, visitor: &mut V) {
                visitor.begin_tuple($n);
                $(visitor.item($i); $t::visit(view.$i, visitor);)*
                visitor.end_tuple();
            }
            fn from_fields<'a>(fields: &mut Fields<'a>) -> Result<Self::View<'a>, FieldError> {
                Ok(($($t::from_fields(fields)?,)*))
            }
        }
        impl<'de, $($t: Deserialize<'de>),*> Deserialize<'de> for TupleDraft<($($t,)*)> {
            fn deserialize<De: Deserializer<'de>>(deserializer: De) -> Result<Self, De::Error> {
                struct Parts<Tuple>(PhantomData<Tuple>);
                #[allow(non_snake_case)]
                impl<'de, $($t: Deserialize<'de>),*> serde::de::Visitor<'de> for Parts<($($t,)*)> {
                    type Value = ($($t,)*);
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        write!(f, "a tuple of {} parts", $n)
                    }
                    fn visit_seq<Seq: SeqAccess<'de>>(
                        self,
                        mut seq: Seq,
                    ) -> Result<Self::Value, Seq::Error> {
                        Ok(($({
                            let part = seq.next_element::<$t>()?;
                            part.ok_or_else(|| Seq::Error::invalid_length($i, &self))?
                        },)*))
                    }
                    fn visit_map<Map: MapAccess<'de>>(
                        self,
                        mut map: Map,
                    ) -> Result<Self::Value, Map::Error> {
                        $(let mut $t: Option<$t> = None;)*
                        while let Some(part) = map.next_key_seed(PartOf($n))? {
                            match part {
                                $(Some($i) if $t.is_some() => {
                                    return Err(Map::Error::duplicate_field(part_name($n, $i)));
                                })*
                                $(Some($i) => $t = Some(map.next_value()?),)*
                                _ => drop(map.next_value::<IgnoredAny>()?),
                            }
                        }
                        Ok(($(match $t {
                            Some(part) => part,
                            None => absent(part_name($n, $i))?,
                        },)*))
                    }
                }
                deserializer.deserialize_any(Parts(PhantomData)).map(TupleDraft)
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
    ArchivedTuple1 1 (A 0);
    ArchivedTuple2 2 (A 0, B 1);
    ArchivedTuple3 3 (A 0, B 1, C 2);
    ArchivedTuple4 4 (A 0, B 1, C 2, D 3);
    ArchivedTuple5 5 (A 0, B 1, C 2, D 3, E 4);
    ArchivedTuple6 6 (A 0, B 1, C 2, D 3, E 4, F 5);
    ArchivedTuple7 7 (A 0, B 1, C 2, D 3, E 4, F 5, G 6);
    ArchivedTuple8 8 (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);
}
