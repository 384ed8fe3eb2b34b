//! Records of one value that text has a form of its own for: times, durations, addresses.
//!
//! Each is archived, compared and keyed as a record that holds the same, and read and shown as text.

use std::cmp::Ordering;
use std::fmt;
use std::marker::PhantomData;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::impls::itself;
use super::{FieldError, Fields, Key, KeyReader, Record, Schema, Visitor};
use crate::timestamp::{self, Timestamp};

/// A type that text has a form for.
trait Value: Copy + Ord + fmt::Debug + Send + Sync + 'static {
    /// Its name in plans and errors.
    const NAME: &'static str;
    /// What it is, for people: "expected …".
    const WHAT: &'static str;
    fn of_text(text: &str) -> Option<Self>;
    /// What a number in JSON means, if one does.
    fn number(_: i64) -> Option<Self> {
        None
    }
    fn text(self) -> String;
}

/// What a type is archived and keyed as. Every value of the type has one `H`; not every `H` is one of a value.
trait HeldAs<H>: Copy {
    fn hold(self) -> H;
    /// Total: what no value has gives some value.
    fn held(held: H) -> Self;
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

/// What is known of a type by its name: for the reasons of dead letters, which go by schemas.
pub(super) struct Known {
    /// What it is, for people.
    pub(super) what: &'static str,
    /// Whether a text is a value of it.
    pub(super) reads: fn(&str) -> bool,
    /// Whether a number means a value of it.
    pub(super) takes: fn(i64) -> bool,
}

impl Known {
    const fn of<T: Value>() -> Self {
        Self {
            what: T::WHAT,
            reads: |text| T::of_text(text).is_some(),
            takes: |number| T::number(number).is_some(),
        }
    }
}

macro_rules! values {
    ($($t:ident as $h:ty;)*) => {
        /// The type of that name, if it is one of these.
        pub(super) fn known(name: &str) -> Option<Known> {
            match name {
                $(<$t as Value>::NAME => Some(Known::of::<$t>()),)*
                _ => None,
            }
        }
        itself! { $($t)* }
        $(
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
                $t::held(<$h>::view_archived(archived))
            }
            #[inline(always)]
            fn view_draft<'d, 'a: 'd>(draft: &'d Parsed<$t>) -> $t { draft.0 }
            #[inline(always)]
            fn own(view: $t) -> $t { view }
            #[inline(always)]
            fn wire<'a: 'a>(view: $t) -> Self::Wire<'a> { <$h>::wire(view.hold()) }
            #[inline(always)]
            fn compare(a: $t, b: $t) -> Ordering { a.cmp(&b) }
            fn visit<V: Visitor>(view: $t, visitor: &mut V) { visitor.text(&view.text()); }
            fn from_fields<'a>(fields: &mut Fields<'a>) -> Result<$t, FieldError> {
                fields.value(<$t as Value>::NAME, $t::of_text)
            }
        }
        impl Key for $t {
            const WIDTH: Option<usize> = <$h as Key>::WIDTH;
            #[inline(always)]
            fn write(view: $t, out: &mut Vec<u8>) { <$h>::write(view.hold(), out); }
            #[inline(always)]
            fn read<'a>(bytes: &mut KeyReader<'a>) -> $t { $t::held(<$h as Key>::read(bytes)) }
            fn check(bytes: &mut KeyReader<'_>) -> bool {
                let held = <$h as Key>::read(&mut { *bytes });
                <$h>::check(bytes) && $t::held(held).hold() == held
            }
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

/// What [`Display`](fmt::Display) and [`FromStr`](std::str::FromStr) say.
macro_rules! as_displayed {
    () => {
        fn of_text(text: &str) -> Option<Self> {
            text.parse().ok()
        }
        fn text(self) -> String {
            self.to_string()
        }
    };
}

impl Value for Timestamp {
    const NAME: &'static str = "Timestamp";
    const WHAT: &'static str =
        "a date like \"2026-11-30T14:01:09.250Z\", or milliseconds since 1970 (`Timestamp`)";
    as_displayed!();
    fn number(number: i64) -> Option<Self> {
        Some(Self::from_millis(number))
    }
}

impl HeldAs<i64> for Timestamp {
    fn hold(self) -> i64 {
        self.millis()
    }
    fn held(ms: i64) -> Self {
        Self::from_millis(ms)
    }
}

impl Value for Duration {
    const NAME: &'static str = "Duration";
    const WHAT: &'static str = "a duration like \"1h30m\" or \"1.5s\" (`Duration`)";
    fn of_text(text: &str) -> Option<Self> {
        timestamp::duration(text)
    }
    fn text(self) -> String {
        timestamp::duration_text(self)
    }
}

/// Seconds, and the nanoseconds of the last one.
impl HeldAs<(u64, u32)> for Duration {
    fn hold(self) -> (u64, u32) {
        (self.as_secs(), self.subsec_nanos())
    }
    fn held((seconds, nanos): (u64, u32)) -> Self {
        Self::new(seconds, nanos.min(999_999_999))
    }
}

impl Value for IpAddr {
    const NAME: &'static str = "IpAddr";
    const WHAT: &'static str = "an IP address (`IpAddr`)";
    as_displayed!();
}

/// The version, and the address as a number: addresses are in the order of [`IpAddr`].
impl HeldAs<(u8, u128)> for IpAddr {
    fn hold(self) -> (u8, u128) {
        match self {
            Self::V4(address) => (4, u32::from(address).into()),
            Self::V6(address) => (6, address.into()),
        }
    }
    fn held((version, number): (u8, u128)) -> Self {
        match version {
            4 => Self::V4((number as u32).into()),
            _ => Self::V6(number.into()),
        }
    }
}

macro_rules! addresses {
    ($($t:ident as $h:ty, $what:literal;)*) => {$(
        impl Value for $t {
            const NAME: &'static str = stringify!($t);
            const WHAT: &'static str = $what;
            as_displayed!();
        }
        impl HeldAs<$h> for $t {
            fn hold(self) -> $h { self.into() }
            fn held(number: $h) -> Self { number.into() }
        }
    )*};
}

addresses! {
    Ipv4Addr as u32, "an IPv4 address (`Ipv4Addr`)";
    Ipv6Addr as u128, "an IPv6 address (`Ipv6Addr`)";
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
    fn the_door_refuses_what_no_value_has() {
        let accepts = |check: fn(&mut KeyReader<'_>) -> bool, version: u8, number: u128| {
            let mut bytes = vec![version];
            bytes.extend_from_slice(&number.to_le_bytes());
            check(&mut KeyReader::new(&bytes))
        };
        assert!(accepts(IpAddr::check, 4, u32::MAX.into()) && accepts(IpAddr::check, 6, u128::MAX));
        assert!(!accepts(IpAddr::check, 4, 1 << 32) && !accepts(IpAddr::check, 5, 1));
        let mut long = 5u64.to_le_bytes().to_vec();
        long.extend_from_slice(&1_000_000_000u32.to_le_bytes());
        assert!(!Duration::check(&mut KeyReader::new(&long)));
        assert!(!Ipv4Addr::check(&mut KeyReader::new(&[1, 2, 3])));
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
