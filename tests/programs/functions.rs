//! The functions that random programs call.

#![allow(dead_code, reason = "each target uses a part")]

/// Keys for records that get a new one.
const KEYS: [&str; 9] = ["a", "b", "c", "d", "e", "f", "g", "h", "i"];

/// A key for a number.
pub(crate) fn key(number: i64, modulus: i64) -> &'static str {
    KEYS[number.rem_euclid(modulus) as usize]
}

/// A line of input: key, value, time in milliseconds.
pub(crate) fn parsed(line: &str) -> Option<(&str, i64, i64)> {
    let mut fields = line.split(' ');
    Some((fields.next()?, fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

/// For `inspect`.
pub(crate) fn seen(key: &str, value: i64) {
    assert!(!key.is_empty() && value > i64::MIN);
}

/// The results of several aggregates as one value.
pub(crate) fn mixed(
    n: u64,
    sum: i64,
    least: i64,
    by: i64,
    distinct: u64,
    top: i64,
    mean: f64,
) -> i64 {
    let mean = (mean * 64.0) as i64;
    n as i64 + sum * 3 + least * 5 + by * 7 + distinct as i64 * 11 + top * 13 + mean
}
