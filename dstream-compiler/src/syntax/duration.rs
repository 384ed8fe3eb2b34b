//! Durations in jobs: `"500ms"`, `"1.5s"`, `"2m"`, `"2min"`, `"1h"`, `"30d"`.

/// Parses milliseconds; `None` if malformed or finer than a millisecond.
#[must_use]
pub fn parse(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = text.split_at(digits);
    let unit: u64 = match unit.trim_start() {
        "ms" => 1,
        "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || (number.contains('.') && fraction.is_empty()) || fraction.len() > 9 {
        return None;
    }
    let whole = whole.parse::<u64>().ok()?.checked_mul(unit)?;
    if fraction.is_empty() {
        return Some(whole);
    }
    let scale = 10u64.pow(u32::try_from(fraction.len()).ok()?);
    let part = fraction.parse::<u64>().ok()?.checked_mul(unit)?;
    (part % scale == 0).then(|| whole.checked_add(part / scale))?
}

/// Parses a difference of times, in milliseconds: a duration that may have a sign.
#[must_use]
pub fn parse_offset(text: &str) -> Option<i64> {
    let text = text.trim();
    let (negative, length) = match text.strip_prefix('-') {
        Some(length) => (true, length),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let ms = i64::try_from(parse(length)?).ok()?;
    Some(if negative { -ms } else { ms })
}

/// Formats a difference of times.
#[must_use]
pub fn show_offset(ms: i64) -> String {
    let sign = if ms < 0 { "-" } else { "" };
    format!("{sign}{}", show(ms.unsigned_abs()))
}

/// Formats a duration in the largest unit with a whole number.
#[must_use]
pub fn show(ms: u64) -> String {
    match ms {
        0 => "0s".to_owned(),
        _ if ms.is_multiple_of(3_600_000) => format!("{}h", ms / 3_600_000),
        _ if ms.is_multiple_of(60_000) => format!("{}min", ms / 60_000),
        _ if ms.is_multiple_of(1_000) => format!("{}s", ms / 1_000),
        _ => format!("{ms}ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_have_a_sign() {
        for (text, ms) in [("-5m", -300_000), ("1m", 60_000), ("+1s", 1_000), ("0s", 0), ("-0s", 0)]
        {
            assert_eq!(parse_offset(text), Some(ms), "{text}");
            assert_eq!(parse_offset(&show_offset(ms)), Some(ms), "{text}");
        }
        for text in ["- 5 minutes", "--5m", "5", "-", ""] {
            assert_eq!(parse_offset(text), None, "{text}");
        }
    }

    #[test]
    fn units_and_fractions() {
        for (text, ms) in [
            ("500ms", 500),
            ("1s", 1_000),
            ("1.5s", 1_500),
            ("0.25 s", 250),
            ("2m", 120_000),
            ("2min", 120_000),
            ("24h", 86_400_000),
            ("30d", 2_592_000_000),
            ("0s", 0),
        ] {
            assert_eq!(parse(text), Some(ms), "{text}");
        }
    }

    #[test]
    fn malformed() {
        for text in [
            "",
            "s",
            "1",
            ".5s",
            "1.s",
            "1.2.3s",
            "-1s",
            "0.0001s",
            "1.5ms",
            "9e3s",
            "99999999999999999999s",
            "18446744073709551615h",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn shown_in_the_largest_unit() {
        assert_eq!(show(500), "500ms");
        assert_eq!(show(90_000), "90s");
        assert_eq!(show(120_000), "2min");
        assert_eq!(show(7_200_000), "2h");
    }
}
