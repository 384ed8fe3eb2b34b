//! Floats in JSON, which has no numbers for NaN and the infinities.
//!
//! They are refused, or, where a URL says `floats=string`, written and read as the strings `"NaN"`, `"Infinity"`
//! and `"-Infinity"`. What they are is never changed silently: no float becomes `null`, and no finite number
//! becomes an infinity.

use std::cell::Cell;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Unexpected};

/// What happens with floats that JSON has no numbers for: the option `floats=`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Floats {
    /// They are refused.
    #[default]
    Refuse,
    /// They are strings.
    Strings,
}

impl Floats {
    /// What the values of the option are.
    pub const WANTED: &str = "`string` or `refuse`";

    /// The value of the option.
    #[must_use]
    pub fn of(option: &str) -> Option<Self> {
        match option {
            "string" => Some(Self::Strings),
            "refuse" => Some(Self::Refuse),
            _ => None,
        }
    }

    /// The string for a float that is not finite.
    pub(super) fn name(value: f64) -> &'static str {
        match value {
            _ if value.is_nan() => "NaN",
            _ if value > 0.0 => "Infinity",
            _ => "-Infinity",
        }
    }

    /// The float that a string stands for.
    pub(super) fn value(name: &str) -> Option<f64> {
        match name {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ => None,
        }
    }

    /// Whether this thread reads such strings now.
    pub(super) fn are_strings() -> bool {
        READING.get() == Self::Strings
    }

    /// Runs `f`, during which drafts read floats in this way.
    #[inline]
    pub fn reading<T>(self, f: impl FnOnce() -> T) -> T {
        /// What held before, also if `f` panics.
        struct Before(Floats);
        impl Drop for Before {
            fn drop(&mut self) {
                READING.set(self.0);
            }
        }
        let _before = Before(READING.replace(self));
        f()
    }
}

thread_local! {
    /// Asked only where a string stands for a float: a draft knows nothing of URLs.
    static READING: Cell<Floats> = const { Cell::new(Floats::Refuse) };
}

/// A float parsed from JSON.
#[derive(Debug, Clone, Copy)]
pub struct Float<T>(pub(super) T);

struct FloatVisitor<T>(std::marker::PhantomData<T>);

macro_rules! floats {
    ($($t:ident)*) => {$(
        impl<'de> Deserialize<'de> for Float<$t> {
            #[inline]
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(FloatVisitor(std::marker::PhantomData::<$t>)).map(Float)
            }
        }

        impl serde::de::Visitor<'_> for FloatVisitor<$t> {
            type Value = $t;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(stringify!($t))
            }
            #[inline]
            fn visit_f64<E: Error>(self, value: f64) -> Result<$t, E> {
                let narrow = value as $t;
                if !narrow.is_finite() {
                    return Err(E::invalid_value(Unexpected::Float(value), &self));
                }
                Ok(narrow)
            }
            #[inline]
            fn visit_u64<E>(self, value: u64) -> Result<$t, E> {
                Ok(value as $t)
            }
            #[inline]
            fn visit_i64<E>(self, value: i64) -> Result<$t, E> {
                Ok(value as $t)
            }
            #[cold]
            fn visit_str<E: Error>(self, text: &str) -> Result<$t, E> {
                match Floats::value(text).filter(|_| Floats::are_strings()) {
                    Some(value) => Ok(value as $t),
                    None => Err(E::invalid_type(Unexpected::Str(text), &self)),
                }
            }
        }
    )*};
}

floats!(f32 f64);
