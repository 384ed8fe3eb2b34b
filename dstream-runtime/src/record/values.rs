//! Records of one value that text has a form of its own for: times, durations, addresses; and enums of names.
//!
//! Each is archived, compared and keyed as a record that holds the same, and read and shown as text.

use std::cmp::Ordering;
use std::fmt;
use std::marker::PhantomData;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::time::Duration;

use super::{AsRecord, FieldError, Fields, Key, KeyReader, Record, Schema, Visitor};
use crate::timestamp::Timestamp;

/// A type that text has a form for.
pub(super) trait Value: Copy + Ord + fmt::Debug + Send + Sync + 'static {
    /// Its name in plans and errors.
    const NAME: &'static str;
    /// What it is, for people: "expected …".
    const WHAT: &'static str;
    /// What it is archived as.
    type Held: Key;
    fn hold(self) -> Self::Held;
    fn held(held: &Self::Held) -> Self;
    fn of_text(text: &str) -> Option<Self>;
    /// What a number means, if one does.
    fn number(_: i64) -> Option<Self> {
        None
    }
    /// Calls `f` with its text.
    fn show(self, f: impl FnOnce(&str));
}

/// A value on its way from JSON.
#[derive(Debug, Clone, Copy)]
pub struct Parsed<T>(T);

impl<'de, T: Value> serde::Deserialize<'de> for Parsed<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader<T>(PhantomData<T>);
        impl<T: Value> serde::de::Visitor<'_> for Reader<T> {
            type Value = T;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(T::WHAT)
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
                T::of_text(text)
                    .ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(text), &self))
            }
            fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<T, E> {
                T::number(number)
                    .ok_or_else(|| E::invalid_type(serde::de::Unexpected::Signed(number), &self))
            }
            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<T, E> {
                let value = i64::try_from(number).ok().and_then(T::number);
                value.ok_or_else(|| E::invalid_type(serde::de::Unexpected::Unsigned(number), &self))
            }
        }
        deserializer.deserialize_any(Reader(PhantomData)).map(Parsed)
    }
}

/// Why a text is no value of a type, for errors in JSON: what was expected, and whether it fits.
pub(super) fn fits(name: &str, text: &str) -> Option<(&'static str, bool)> {
    fn of<T: Value>(text: &str) -> (&'static str, bool) {
        (T::WHAT, T::of_text(text).is_some())
    }
    Some(match name {
        Timestamp::NAME => of::<Timestamp>(text),
        Duration::NAME => of::<Duration>(text),
        IpAddr::NAME => of::<IpAddr>(text),
        Ipv4Addr::NAME => of::<Ipv4Addr>(text),
        Ipv6Addr::NAME => of::<Ipv6Addr>(text),
        _ => return None,
    })
}

macro_rules! values {
    ($($t:ident as $h:ty;)*) => {$(
        impl Record for $t {
            type View<'a> = $t;
            type Archived = <$h as Record>::Archived;
            type Wire<'a> = <$h as Record>::Wire<'a>;
            type Draft<'a> = Parsed<$t>;
            const SCHEMA: Schema = Schema::Scalar(<$t as Value>::NAME);
            const EXACT: bool = true;
            const INLINE: bool = true;

            #[inline(always)]
            fn view(&self) -> $t { *self }
            #[inline(always)]
            fn view_archived(archived: &Self::Archived) -> $t {
                $t::held(&<$h>::view_archived(archived))
            }
            #[inline(always)]
            fn view_draft<'d, 'a: 'd>(draft: &'d Parsed<$t>) -> $t { draft.0 }
            #[inline(always)]
            fn own(view: $t) -> $t { view }
            #[inline(always)]
            fn wire<'a: 'a>(view: $t) -> Self::Wire<'a> { <$h>::wire(view.hold()) }
            #[inline(always)]
            fn compare(a: $t, b: $t) -> Ordering { a.cmp(&b) }
            fn visit<V: Visitor>(view: $t, visitor: &mut V) { view.show(|text| visitor.text(text)); }
            fn from_fields<'a>(fields: &mut Fields<'a>) -> Result<$t, FieldError> {
                fields.value(<$t as Value>::NAME, |text| {
                    $t::of_text(text).or_else(|| text.parse().ok().and_then($t::number))
                })
            }
        }
        impl Key for $t {
            const WIDTH: Option<usize> = <$h as Key>::WIDTH;
            #[inline(always)]
            fn write(view: $t, out: &mut Vec<u8>) { <$h>::write(view.hold(), out); }
            #[inline(always)]
            fn read<'a>(bytes: &mut KeyReader<'a>) -> $t {
                $t::held(&<$h as Key>::read(bytes))
            }
            fn check(bytes: &mut KeyReader<'_>) -> bool { <$h>::check(bytes) }
        }
        impl AsRecord for $t {
            type Record = $t;
            #[inline(always)]
            fn as_view(&self) -> $t { *self }
            #[inline(always)]
            fn into_record(self) -> $t { self }
        }
    )*};
}

values! {
    Timestamp as i64;
    Duration as (u64, u32);
    IpAddr as (u8, u128);
    Ipv4Addr as u32;
    Ipv6Addr as u128;
}

impl Value for Timestamp {
    const NAME: &'static str = "Timestamp";
    const WHAT: &'static str =
        "a date like \"2026-11-30T14:01:09.250Z\", or milliseconds since 1970 (`Timestamp`)";
    type Held = i64;
    fn hold(self) -> i64 {
        self.millis()
    }
    fn held(held: &i64) -> Self {
        Self::from_millis(*held)
    }
    fn of_text(text: &str) -> Option<Self> {
        Self::from_str(text).ok()
    }
    fn number(number: i64) -> Option<Self> {
        Some(Self::from_millis(number))
    }
    fn show(self, f: impl FnOnce(&str)) {
        f(&self.to_string());
    }
}

/// Seconds and the nanoseconds of the last one, so that every duration is held.
impl Value for Duration {
    const NAME: &'static str = "Duration";
    const WHAT: &'static str = "a duration like \"1h30m\" or \"1.5s\" (`Duration`)";
    type Held = (u64, u32);
    fn hold(self) -> (u64, u32) {
        (self.as_secs(), self.subsec_nanos())
    }
    fn held((seconds, nanos): &(u64, u32)) -> Self {
        Self::new(*seconds, (*nanos).min(999_999_999))
    }
    fn of_text(text: &str) -> Option<Self> {
        crate::timestamp::duration(text)
    }
    fn show(self, f: impl FnOnce(&str)) {
        // Seconds, to the nanosecond: what any reader of numbers takes without its last letter.
        let text = match self.subsec_nanos() {
            0 => format!("{}s", self.as_secs()),
            nanos => {
                let digits = format!("{nanos:09}");
                format!("{}.{}s", self.as_secs(), digits.trim_end_matches('0'))
            }
        };
        f(&text);
    }
}

/// The version, and the address as a number: addresses are in the order of [`IpAddr`].
impl Value for IpAddr {
    const NAME: &'static str = "IpAddr";
    const WHAT: &'static str = "an IP address (`IpAddr`)";
    type Held = (u8, u128);
    fn hold(self) -> (u8, u128) {
        match self {
            Self::V4(address) => (4, u32::from(address).into()),
            Self::V6(address) => (6, address.into()),
        }
    }
    fn held((version, number): &(u8, u128)) -> Self {
        match version {
            4 => Self::V4((*number as u32).into()),
            _ => Self::V6((*number).into()),
        }
    }
    fn of_text(text: &str) -> Option<Self> {
        text.parse().ok()
    }
    fn show(self, f: impl FnOnce(&str)) {
        f(&self.to_string());
    }
}

impl Value for Ipv4Addr {
    const NAME: &'static str = "Ipv4Addr";
    const WHAT: &'static str = "an IPv4 address (`Ipv4Addr`)";
    type Held = u32;
    fn hold(self) -> u32 {
        self.into()
    }
    fn held(held: &u32) -> Self {
        (*held).into()
    }
    fn of_text(text: &str) -> Option<Self> {
        text.parse().ok()
    }
    fn show(self, f: impl FnOnce(&str)) {
        f(&self.to_string());
    }
}

impl Value for Ipv6Addr {
    const NAME: &'static str = "Ipv6Addr";
    const WHAT: &'static str = "an IPv6 address (`Ipv6Addr`)";
    type Held = u128;
    fn hold(self) -> u128 {
        self.into()
    }
    fn held(held: &u128) -> Self {
        (*held).into()
    }
    fn of_text(text: &str) -> Option<Self> {
        text.parse().ok()
    }
    fn show(self, f: impl FnOnce(&str)) {
        f(&self.to_string());
    }
}

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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::record::{Floats, write_json};

    fn json<T: Record>(value: &T) -> String {
        let mut out = Vec::new();
        write_json::<T>(value.view(), Floats::Refuse, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn round_trip<T: Record + Key + PartialEq + fmt::Debug>(value: &T) {
        let text = json(value);
        let draft: T::Draft<'_> = serde_json::from_str(&text).unwrap();
        assert_eq!(&T::own(T::view_draft(&draft)), value, "{text}");
        let field = text.trim_matches('"').to_owned();
        let row = [field.as_str()];
        assert_eq!(&T::own(T::from_fields(&mut Fields::new(&row, &[])).unwrap()), value);
        let mut key = Vec::new();
        T::write(value.view(), &mut key);
        assert!(T::check(&mut KeyReader::new(&key)));
        assert_eq!(&T::own(<T as Key>::read(&mut KeyReader::new(&key))), value);
    }

    proptest! {
        #[test]
        fn values_come_back_from_json_rows_and_keys(
            ms in -62_135_596_800_000i64..253_402_300_799_999,
            seconds: u64,
            nanos in 0u32..1_000_000_000,
            four: u32,
            six: u128,
        ) {
            round_trip(&Timestamp::from_millis(ms));
            round_trip(&Duration::new(seconds, nanos));
            round_trip(&IpAddr::V4(four.into()));
            round_trip(&IpAddr::V6(six.into()));
            round_trip(&Ipv4Addr::from(four));
            round_trip(&Ipv6Addr::from(six));
            round_trip(&six);
            round_trip(&(six as i128));
        }

        #[test]
        fn keys_and_views_have_the_order_of_the_values(a: u128, b: u128, four: bool) {
            let (left, right) = (IpAddr::V6(a.into()), IpAddr::V6(b.into()));
            prop_assert_eq!(IpAddr::compare(left, right), a.cmp(&b));
            let v4 = IpAddr::V4((a as u32).into());
            let (left, right) = if four { (v4, right) } else { (right, v4) };
            prop_assert_eq!(IpAddr::compare(left, right).is_lt(), four);
        }
    }

    #[test]
    fn forms() {
        assert_eq!(
            json(&Timestamp::from_millis(1_796_047_269_250)),
            "\"2026-11-30T14:01:09.250Z\""
        );
        assert_eq!(json(&Duration::from_millis(90_500)), "\"90.5s\"");
        assert_eq!(json(&u128::MAX), u128::MAX.to_string());
        assert_eq!(json(&i128::MIN), i128::MIN.to_string());
        let number: Parsed<Timestamp> = serde_json::from_str("1796047269250").unwrap();
        assert_eq!(number.0.millis(), 1_796_047_269_250);
        assert!(serde_json::from_str::<Parsed<Timestamp>>("\"yesterday\"").is_err());
        assert!(serde_json::from_str::<Parsed<Duration>>("5").is_err());
    }
}
