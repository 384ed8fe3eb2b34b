//! Times of a calendar as values.

use std::fmt;
use std::ops::{Add, Sub};
use std::str::FromStr;
use std::time::Duration;

use crate::{calendar, text};

/// A moment: milliseconds since 1970, in UTC.
///
/// As text it is a date in RFC 3339, `2026-11-30T14:01:09.250Z`, in CSV, JSON and [`Display`](fmt::Display); it is read
/// with any offset, and from a number of milliseconds. Outside of the years 1 to 9999 its text is that number.
/// Digits below a millisecond are cut off.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The moment that many milliseconds after 1970; before, if it is negative.
    #[inline(always)]
    #[must_use]
    pub const fn from_millis(ms: i64) -> Self {
        Self(ms)
    }

    /// Milliseconds since 1970.
    #[inline(always)]
    #[must_use]
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// The time since an earlier moment; zero if that is not earlier.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        if self <= earlier {
            Duration::ZERO
        } else {
            Duration::from_millis(self.0.abs_diff(earlier.0))
        }
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&calendar::iso_of(self.0))
    }
}

/// A text that is no moment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a date like 2026-11-30T14:01:09.250Z, or milliseconds since 1970")]
pub struct NoTimestamp;

impl FromStr for Timestamp {
    type Err = NoTimestamp;

    fn from_str(given: &str) -> Result<Self, NoTimestamp> {
        let ms = text::date(given).or_else(|| given.parse().ok());
        ms.map(Self).ok_or(NoTimestamp)
    }
}

/// Saturates at the ends of time.
impl Add<Duration> for Timestamp {
    type Output = Self;
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }
}

/// Saturates at the ends of time.
impl Sub<Duration> for Timestamp {
    type Output = Self;
    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }
}

/// A duration as text says it: `90s`, `1.5s`, `1h30m`, `250ms`; also in ISO 8601, `PT1H30M`.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    if text.is_empty() || text.starts_with('-') {
        return None;
    }
    // As it is written: seconds, of which there may be more than the library takes.
    seconds(text).or_else(|| text.parse::<jiff::SignedDuration>().ok()?.try_into().ok())
}

/// The shortest of these texts in seconds: `90s`, `1.5s`.
pub(crate) fn duration_text(duration: Duration) -> String {
    let (seconds, nanos) = (duration.as_secs(), duration.subsec_nanos());
    match nanos {
        0 => format!("{seconds}s"),
        _ => format!("{seconds}.{}s", format!("{nanos:09}").trim_end_matches('0')),
    }
}

/// `90s`, `1.5s`: seconds with up to nine digits behind the point.
fn seconds(text: &str) -> Option<Duration> {
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let number = text.strip_suffix('s')?;
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    if !is_digits(whole) || !is_digits(part) || part.len() > 9 {
        return None;
    }
    let nanos = part.parse::<u32>().ok()? * 10u32.pow(9 - part.len() as u32);
    Some(Duration::new(whole.parse().ok()?, nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_in_their_usual_forms() {
        let ms = |text| duration(text).map(|duration| duration.as_millis());
        assert_eq!(ms("90s"), Some(90_000));
        assert_eq!(ms("1.5s"), Some(1500));
        assert_eq!(ms("1h30m"), Some(5_400_000));
        assert_eq!(ms("1h 30m"), Some(5_400_000));
        assert_eq!(ms("250ms"), Some(250));
        assert_eq!(duration("18446744073709551615.999999999s"), Some(Duration::MAX));
        assert_eq!(duration("0.000000001s"), Some(Duration::from_nanos(1)));
        assert_eq!(ms("18446744073709551616s"), None);
        assert_eq!((ms("1.s"), ms(".5.s"), ms("1.0000000001s")), (None, None, None));
        assert_eq!(ms("PT1H30M"), Some(5_400_000));
        for wrong in ["", "5", "-5s", "s", "1 fortnight", "5s ago"] {
            assert_eq!(ms(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn moments_are_read_with_any_offset_and_from_numbers() {
        let ms = |text: &str| text.parse::<Timestamp>().map(Timestamp::millis).ok();
        assert_eq!(ms("2026-11-30T14:01:09.250Z"), Some(1_796_047_269_250));
        assert_eq!(ms("2026-11-30T15:01:09.2509+01:00"), Some(1_796_047_269_250));
        assert_eq!(ms("1796047269250"), Some(1_796_047_269_250));
        assert_eq!(ms("-5"), Some(-5));
        assert_eq!(ms("2026-11-30T14:01:09"), None);
        assert_eq!(ms("now"), None);
        let (early, late) = (Timestamp::from_millis(-2), Timestamp::from_millis(i64::MAX));
        assert_eq!(late + Duration::from_secs(1), late);
        assert_eq!(
            (late.since(early).as_millis(), early.since(late).as_millis()),
            ((i64::MAX as u128) + 2, 0)
        );
    }
}
