//! Records that are one of some names: enums whose variants hold nothing.
//!
//! A variant is a text in CSV and JSON, and a byte in archives and keys. Invariant: the view has the variants of the enum, in
//! their order, which is that of records.

use std::fmt;
use std::marker::PhantomData;

use super::{FieldError, Fields};

/// The view of an enum whose variants are names. `#[derive(Record)]` implements it.
pub trait Names: Copy + Send + Sync + 'static {
    /// The names, in the order of the variants.
    const NAMES: &'static [&'static str];
    /// The variants.
    const ALL: &'static [Self];
    /// The place of a variant.
    fn place(self) -> u8;
}

/// The variant at a place; the last one past the end.
#[inline(always)]
pub fn variant<T: Names>(place: u8) -> T {
    T::ALL[usize::from(place).min(T::ALL.len() - 1)]
}

/// The place of a name.
#[inline]
fn place_of(names: &[&str], text: &str) -> Option<u8> {
    names.iter().position(|name| *name == text).map(|place| place as u8)
}

/// The next field as a variant.
///
/// # Errors
/// When the row has ended, or the field is no name of a variant.
pub fn variant_from_fields<T: Names>(
    fields: &mut Fields<'_>,
    wanted: &'static str,
) -> Result<T, FieldError> {
    fields.value(wanted, |text| place_of(T::NAMES, text).map(variant))
}

/// A variant on its way from JSON.
#[derive(Debug, Clone, Copy)]
pub struct Named<T>(pub T);

impl<'de, T: Names> serde::Deserialize<'de> for Named<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader<T>(PhantomData<T>);
        impl<T: Names> serde::de::Visitor<'_> for Reader<T> {
            type Value = T;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "one of {}", quoted(T::NAMES))
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
                let place = place_of(T::NAMES, text);
                place.map(variant).ok_or_else(|| E::unknown_variant(text, T::NAMES))
            }
        }
        deserializer.deserialize_str(Reader(PhantomData)).map(Named)
    }
}

/// `"a", "b", "c"`
pub(super) fn quoted(names: &[&str]) -> String {
    names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ")
}

/// Makes an enum of names a record, whose views are of another enum with the same variants.
#[doc(hidden)]
#[macro_export]
macro_rules! __record_of_names {
    ($name:ident, $view:ident, $text:literal, $wanted:literal, [$($variant:ident $word:literal $place:literal)*]) => {
        const _: () = {
            use $crate::private as __dstream;

            impl __dstream::Names for $view {
                const NAMES: &'static [&'static __dstream::core::primitive::str] = &[$($word),*];
                const ALL: &'static [Self] = &[$($view::$variant),*];
                #[inline(always)]
                fn place(self) -> __dstream::core::primitive::u8 {
                    match self {
                        $($view::$variant => $place,)*
                    }
                }
            }
            impl __dstream::Record for $name {
                type View<'a> = $view;
                type Archived = <__dstream::core::primitive::u8 as __dstream::Record>::Archived;
                type Wire<'a> = __dstream::core::primitive::u8;
                type Draft<'a> = __dstream::Named<$view>;
                const SCHEMA: __dstream::Schema =
                    __dstream::Schema::Enum { name: $text, names: &[$($word),*] };
                const EXACT: __dstream::core::primitive::bool = true;
                const INLINE: __dstream::core::primitive::bool = true;
                #[inline(always)]
                fn view(&self) -> $view {
                    match self {
                        $($name::$variant => $view::$variant,)*
                    }
                }
                #[inline(always)]
                fn view_archived(archived: &Self::Archived) -> $view { __dstream::variant(*archived) }
                #[inline(always)]
                fn view_draft<'d, 'a: 'd>(draft: &'d Self::Draft<'a>) -> $view { draft.0 }
                #[inline(always)]
                fn own(view: $view) -> $name {
                    match view {
                        $($view::$variant => $name::$variant,)*
                    }
                }
                #[inline(always)]
                fn wire<'a: 'a>(view: $view) -> __dstream::core::primitive::u8 {
                    __dstream::Names::place(view)
                }
                #[inline(always)]
                fn compare(a: $view, b: $view) -> __dstream::core::cmp::Ordering {
                    __dstream::core::cmp::Ord::cmp(&a, &b)
                }
                #[inline]
                fn visit<__dstream_i_V: __dstream::Visitor>(view: $view, visitor: &mut __dstream_i_V) {
                    let names = <$view as __dstream::Names>::NAMES;
                    let place = __dstream::Names::place(view);
                    __dstream::Visitor::text(
                        visitor,
                        names[place as __dstream::core::primitive::usize],
                    );
                }
                #[inline]
                fn from_fields<'a>(
                    fields: &mut __dstream::Fields<'a>,
                ) -> __dstream::core::result::Result<$view, __dstream::FieldError> {
                    __dstream::variant_from_fields(fields, $wanted)
                }
            }
            impl __dstream::Key for $name {
                const WIDTH: __dstream::core::option::Option<__dstream::core::primitive::usize> =
                    __dstream::core::option::Option::Some(1);
                #[inline(always)]
                fn write(
                    view: $view,
                    out: &mut __dstream::std::vec::Vec<__dstream::core::primitive::u8>,
                ) {
                    out.push(__dstream::Names::place(view));
                }
                #[inline(always)]
                fn read<'a>(bytes: &mut __dstream::KeyReader<'a>) -> $view {
                    __dstream::variant(
                        <__dstream::core::primitive::u8 as __dstream::Key>::read(bytes),
                    )
                }
                fn check(bytes: &mut __dstream::KeyReader<'_>) -> __dstream::core::primitive::bool {
                    if __dstream::KeyReader::is_empty(bytes) {
                        return false;
                    }
                    let place = <__dstream::core::primitive::u8 as __dstream::Key>::read(bytes);
                    __dstream::KeyReader::is_empty(bytes)
                        && (place as __dstream::core::primitive::usize)
                            < <$view as __dstream::Names>::ALL.len()
                }
            }
            impl __dstream::AsRecord for $name {
                type Record = $name;
                #[inline(always)]
                fn as_view(&self) -> $view { <$name as __dstream::Record>::view(self) }
                #[inline(always)]
                fn into_record(self) -> $name { self }
            }
            impl __dstream::AsRecord for $view {
                type Record = $name;
                #[inline(always)]
                fn as_view(&self) -> $view { *self }
                #[inline(always)]
                fn into_record(self) -> $name { <$name as __dstream::Record>::own(self) }
            }
            impl __dstream::core::cmp::PartialEq<$name> for $view {
                #[inline(always)]
                fn eq(&self, other: &$name) -> __dstream::core::primitive::bool {
                    *self == <$name as __dstream::Record>::view(other)
                }
            }
        };
    };
}
