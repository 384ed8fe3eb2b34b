//! Records that hold no other records: numbers, `bool`, `char`, text; and `Option`.

use std::borrow::Cow;
use std::cmp::Ordering;

use rkyv::option::ArchivedOption;
use rkyv::rancor::{Fallible, Source};
use rkyv::ser::Writer;
use rkyv::string::{ArchivedString, StringResolver};
use rkyv::{Archive, Place, Serialize, SerializeUnsized};

use super::{AsRecord, FieldError, Fields, Float, Record, Schema, Visitor};

/// Types that are records and their own views.
macro_rules! itself {
    ($($t:ident)*) => {$(
        impl $crate::record::AsRecord for $t {
            type Record = $t;
            #[inline(always)]
            fn as_view(&self) -> $t { *self }
            #[inline(always)]
            fn into_record(self) -> $t { self }
        }
    )*};
}
pub(super) use itself;

macro_rules! scalar {
    ($($t:ident as $wire:ident $exact:literal $show:ident as $wide:ty, $parse:ident, $cmp:expr, $draft:ty, $read:expr;)*) => {$(
        impl Record for $t {
            type View<'a> = $t;
            type Archived = <$wire as Archive>::Archived;
            type Wire<'a> = $wire;
            type Draft<'a> = $draft;
            const SCHEMA: Schema = Schema::Scalar(stringify!($t));
            const EXACT: bool = $exact;
            const INLINE: bool = true;

            #[inline(always)]
            fn view(&self) -> $t { *self }
            #[inline(always)]
            fn view_archived(archived: &Self::Archived) -> $t { <$wire>::from(*archived) as $t }
            #[inline(always)]
            fn view_draft<'d, 'a: 'd>(draft: &'d $draft) -> $t { let f: fn(&$draft) -> $t = $read; f(draft) }
            #[inline(always)]
            fn own(view: $t) -> $t { view }
            #[inline(always)]
            fn wire<'a: 'a>(view: $t) -> $wire { view as $wire }
            #[inline(always)]
            fn compare(a: $t, b: $t) -> Ordering { let f: fn(&$t, &$t) -> Ordering = $cmp; f(&a, &b) }
            #[inline(always)]
            fn visit<V: Visitor>(view: $t, visitor: &mut V) { visitor.$show(view as $wide) }
            #[inline]
            fn from_fields<'a>(fields: &mut Fields<'a>) -> Result<$t, FieldError> { fields.$parse::<$t>(stringify!($t)) }
        }
        itself! { $t }
    )*};
}

// Lengths are 64 bits wide in blocks and keys, whatever the machine.
scalar! {
    u8 as u8 true unsigned as u64, parse, Ord::cmp, u8, |draft| *draft;
    u16 as u16 true unsigned as u64, parse, Ord::cmp, u16, |draft| *draft;
    u32 as u32 true unsigned as u64, parse, Ord::cmp, u32, |draft| *draft;
    u64 as u64 true unsigned as u64, parse, Ord::cmp, u64, |draft| *draft;
    u128 as u128 true wide as u128, parse, Ord::cmp, u128, |draft| *draft;
    i128 as i128 true wide_signed as i128, parse, Ord::cmp, i128, |draft| *draft;
    i8 as i8 true signed as i64, parse, Ord::cmp, i8, |draft| *draft;
    i16 as i16 true signed as i64, parse, Ord::cmp, i16, |draft| *draft;
    i32 as i32 true signed as i64, parse, Ord::cmp, i32, |draft| *draft;
    i64 as i64 true signed as i64, parse, Ord::cmp, i64, |draft| *draft;
    usize as u64 true unsigned as u64, parse, Ord::cmp, usize, |draft| *draft;
    isize as i64 true signed as i64, parse, Ord::cmp, isize, |draft| *draft;
    f32 as f32 false single as f32, float, f32::total_cmp, Float<f32>, |draft| draft.0;
    f64 as f64 false float as f64, float, f64::total_cmp, Float<f64>, |draft| draft.0;
    bool as bool true boolean as bool, parse, Ord::cmp, bool, |draft| *draft;
    char as char true character as char, parse, Ord::cmp, char, |draft| *draft;
}

/// Text on its way into an archive.
pub struct TextWire<'a>(&'a str);

impl Archive for TextWire<'_> {
    type Archived = ArchivedString;
    type Resolver = StringResolver;
    fn resolve(&self, resolver: StringResolver, out: Place<ArchivedString>) {
        ArchivedString::resolve_from_str(self.0, resolver, out);
    }
}

impl<S: Fallible<Error: Source> + Writer + ?Sized> Serialize<S> for TextWire<'_>
where
    str: SerializeUnsized<S>,
{
    fn serialize(&self, serializer: &mut S) -> Result<StringResolver, S::Error> {
        ArchivedString::serialize_from_str(self.0, serializer)
    }
}

/// Text parsed from JSON: borrowed where it holds no escapes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text<'a>(pub Cow<'a, str>);

impl<'de: 'a, 'a> serde::Deserialize<'de> for Text<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> serde::de::Visitor<'de> for TextVisitor {
            type Value = Cow<'de, str>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, v: &'de str) -> Result<Self::Value, E> {
                Ok(Cow::Borrowed(v))
            }
            fn visit_str<E>(self, v: &str) -> Result<Self::Value, E> {
                Ok(Cow::Owned(v.to_owned()))
            }
            fn visit_string<E>(self, v: String) -> Result<Self::Value, E> {
                Ok(Cow::Owned(v))
            }
        }
        deserializer.deserialize_str(TextVisitor).map(Text)
    }
}

impl Record for String {
    type View<'a> = &'a str;
    type Archived = ArchivedString;
    type Wire<'a> = TextWire<'a>;
    type Draft<'a> = Text<'a>;
    const SCHEMA: Schema = Schema::Scalar("str");
    const EXACT: bool = true;
    const INLINE: bool = false;

    #[inline(always)]
    fn view(&self) -> &str {
        self
    }
    #[inline(always)]
    fn view_archived(archived: &ArchivedString) -> &str {
        archived.as_str()
    }
    #[inline(always)]
    fn view_draft<'d, 'a: 'd>(draft: &'d Text<'a>) -> &'d str {
        &draft.0
    }
    #[inline]
    fn own(view: &str) -> String {
        view.to_owned()
    }
    #[inline(always)]
    fn wire<'a: 'a>(view: &'a str) -> TextWire<'a> {
        TextWire(view)
    }
    #[inline]
    fn compare(a: &str, b: &str) -> Ordering {
        a.cmp(b)
    }
    #[inline(always)]
    fn visit<V: Visitor>(view: &str, visitor: &mut V) {
        visitor.text(view);
    }
    #[inline]
    fn from_fields<'a>(fields: &mut Fields<'a>) -> Result<&'a str, FieldError> {
        fields.next("str")
    }
}

impl AsRecord for String {
    type Record = String;
    #[inline(always)]
    fn as_view(&self) -> &str {
        self
    }
    #[inline(always)]
    fn into_record(self) -> String {
        self
    }
}

impl AsRecord for &str {
    type Record = String;
    #[inline(always)]
    fn as_view(&self) -> &str {
        self
    }
    #[inline]
    fn into_record(self) -> String {
        self.to_owned()
    }
}

impl AsRecord for Cow<'_, str> {
    type Record = String;
    #[inline(always)]
    fn as_view(&self) -> &str {
        self
    }
    #[inline]
    fn into_record(self) -> String {
        self.into_owned()
    }
}

impl<T: Record> Record for Option<T> {
    type View<'a> = Option<T::View<'a>>;
    type Archived = ArchivedOption<T::Archived>;
    type Wire<'a> = Option<T::Wire<'a>>;
    type Draft<'a> = Option<T::Draft<'a>>;
    const SCHEMA: Schema = Schema::Option(&T::SCHEMA);
    const EXACT: bool = T::EXACT;
    const INLINE: bool = T::INLINE;

    #[inline(always)]
    fn view(&self) -> Option<T::View<'_>> {
        self.as_ref().map(T::view)
    }
    #[inline(always)]
    fn view_archived(archived: &Self::Archived) -> Option<T::View<'_>> {
        archived.as_ref().map(T::view_archived)
    }
    #[inline(always)]
    fn view_draft<'d, 'a: 'd>(draft: &'d Option<T::Draft<'a>>) -> Option<T::View<'d>> {
        draft.as_ref().map(T::view_draft)
    }
    #[inline]
    fn own(view: Option<T::View<'_>>) -> Option<T> {
        view.map(T::own)
    }
    #[inline(always)]
    fn wire<'a: 'a>(view: Option<T::View<'a>>) -> Option<T::Wire<'a>> {
        view.map(T::wire)
    }
    fn compare(a: Option<T::View<'_>>, b: Option<T::View<'_>>) -> Ordering {
        match (a, b) {
            (None, None) => Ordering::Equal,
            (None, Some(_)) => Ordering::Less,
            (Some(_), None) => Ordering::Greater,
            (Some(a), Some(b)) => T::compare(a, b),
        }
    }
    fn visit<V: Visitor>(view: Option<T::View<'_>>, visitor: &mut V) {
        match view {
            None => visitor.none(T::SCHEMA.columns()),
            Some(view) => T::visit(view, visitor),
        }
    }
    /// An absent value is a row whose fields of this value are all empty.
    fn from_fields<'a>(fields: &mut Fields<'a>) -> Result<Option<T::View<'a>>, FieldError> {
        if fields.skip_null(&T::SCHEMA) {
            return Ok(None);
        }
        T::from_fields(fields).map(Some)
    }
}

impl<T: AsRecord> AsRecord for Option<T> {
    type Record = Option<T::Record>;
    #[inline(always)]
    fn as_view(&self) -> Option<<T::Record as Record>::View<'_>> {
        self.as_ref().map(T::as_view)
    }
    #[inline]
    fn into_record(self) -> Option<T::Record> {
        self.map(T::into_record)
    }
}
