//! Values of options.

use std::time::Duration;

/// A duration such as `500ms`, `2s`, `1.5s`, `1m`; whole milliseconds, at least one.
///
/// # Errors
/// When it is anything else.
pub(super) fn interval(text: &str) -> Result<Duration, String> {
    let wrong = || "write a duration such as 500ms, 2s or 1m, of at least 1ms".to_owned();
    let digits = text.find(|c: char| c.is_ascii_alphabetic()).ok_or_else(wrong)?;
    let (number, unit) = text.split_at(digits);
    let number: f64 = number.trim().parse().map_err(|_| wrong())?;
    let unit_ms = match unit {
        "ms" => 1.0,
        "s" => 1e3,
        "m" | "min" => 60e3,
        "h" => 3600e3,
        _ => return Err(wrong()),
    };
    let ms = number * unit_ms;
    if !(1.0..=86_400e3).contains(&ms) || ms.fract() > 1e-9 {
        return Err(wrong());
    }
    Ok(Duration::from_millis(ms as u64))
}

/// A number of partitions or threads: from 1 to 4096.
///
/// # Errors
/// When it is anything else.
pub(super) fn count(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(n @ 1..=4096) => Ok(n),
        _ => Err("write a number from 1 to 4096".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals() {
        assert_eq!(interval("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(interval("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(interval("1m"), Ok(Duration::from_secs(60)));
        for wrong in ["", "5", "0s", "-1s", "1.5ms", "2 days", "s"] {
            assert!(interval(wrong).is_err(), "{wrong}");
        }
    }
}
