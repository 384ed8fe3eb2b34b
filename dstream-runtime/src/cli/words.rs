//! Numbers, and lines of a terminal, for people.

use std::time::Duration;

/// A number with its thousands apart.
pub(super) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of things: `1 batch`, `2 batches`.
pub(super) fn some(n: impl Into<u64>, thing: &str) -> String {
    let n = n.into();
    let plural = match thing {
        _ if n == 1 => "",
        _ if thing.ends_with(['s', 'x']) || thing.ends_with("ch") => "es",
        _ => "s",
    };
    format!("{} {thing}{plural}", count(n))
}

/// A number of bytes, roughly.
pub(super) fn bytes(n: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut value, mut unit) = (n as f64, 0);
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{n} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

/// A duration in milliseconds.
pub(super) fn millis(duration: Duration) -> String {
    let ms = duration.as_secs_f64() * 1e3;
    if ms < 10.0 { format!("{ms:.2} ms") } else { format!("{ms:.0} ms") }
}

/// Part of a line, and how much it matters: those that matter least are left out first.
pub(super) type Field = (u8, String);

/// As many of the fields as fit into a line, whole, in their order.
pub(super) fn fit(mut fields: Vec<Field>, width: usize) -> String {
    loop {
        let line: String = fields.iter().map(|(_, text)| text.as_str()).collect();
        // Of several that matter as little, the last goes first.
        let least =
            fields.iter().enumerate().min_by_key(|(at, (matters, _))| (*matters, usize::MAX - at));
        match least.map(|(at, _)| at) {
            Some(least) if cells(&line) > width && fields.len() > 1 => drop(fields.remove(least)),
            _ => return clip(&line, width),
        }
    }
}

/// The beginning of a line that is too long, with `…` after it. What is left out begins between words: half a
/// number would be another number.
pub(super) fn clip(line: &str, width: usize) -> String {
    if cells(line) <= width {
        return line.to_owned();
    }
    let (mut end, mut used) = (0, 0);
    for (at, c) in line.char_indices() {
        used += cell(c);
        if used + 1 > width {
            break;
        }
        end = at + c.len_utf8();
    }
    let head = &line[..end];
    let cut_inside = !line[end..].starts_with(char::is_whitespace);
    let between = head.rfind(char::is_whitespace).filter(|_| cut_inside).unwrap_or(end);
    let head = if between == 0 { head } else { &head[..between] };
    // A word that is longer than the line is cut, but not in a number.
    let inside =
        head.len() == end && line[end..].starts_with(|c: char| c.is_ascii_digit() || c == '.');
    let head = match inside {
        true => head.trim_end_matches(|c: char| c.is_ascii_digit() || ".,-+eE".contains(c)),
        false => head,
    };
    format!("{}…", head.trim_end())
}

/// How many cells of a terminal a line takes.
fn cells(line: &str) -> usize {
    line.chars().map(cell).sum()
}

/// Letters of East Asia and pictures are two cells wide; marks on letters are none.
fn cell(c: char) -> usize {
    match u32::from(c) {
        0x0300..=0x036f | 0x200b..=0x200f | 0xfe00..=0xfe0f => 0,
        0x1100..=0x115f
        | 0x2e80..=0xa4cf
        | 0xac00..=0xd7a3
        | 0xf900..=0xfaff
        | 0xfe30..=0xfe6f
        | 0xff00..=0xff60
        | 0xffe0..=0xffe6
        | 0x1f300..=0x1faff
        | 0x20000..=0x3fffd => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_000), "1,000");
        assert_eq!(count(12_345_678), "12,345,678");
        assert_eq!(bytes(512), "512 B");
        assert_eq!(bytes(3 << 20), "3.0 MiB");
        assert_eq!(millis(Duration::from_micros(1500)), "1.50 ms");
    }

    #[test]
    fn one_thing_and_several() {
        assert_eq!(some(1_u32, "batch"), "1 batch");
        assert_eq!(some(2_u32, "batch"), "2 batches");
        assert_eq!(some(0_u64, "record"), "0 records");
        assert_eq!(some(1234_u64, "process"), "1,234 processes");
    }

    #[test]
    fn whole_fields_are_left_out() {
        let fields = || {
            vec![
                (9, "7: 123,456 records/s".to_owned()),
                (1, " in 3 batches".to_owned()),
                (2, ", 12 ms".to_owned()),
            ]
        };
        assert_eq!(fit(fields(), 80), "7: 123,456 records/s in 3 batches, 12 ms");
        assert_eq!(fit(fields(), 35), "7: 123,456 records/s, 12 ms");
        assert_eq!(fit(fields(), 20), "7: 123,456 records/s");
        assert_eq!(fit(fields(), 19), "7: 123,456…");
    }

    #[test]
    fn no_number_is_cut() {
        let line = "word  123456 x";
        for width in 0..=line.len() {
            let clipped = clip(line, width);
            assert!(cells(&clipped) <= width.max(1), "{width}: {clipped}");
            let shown = clipped.trim_end_matches('…');
            assert!(!shown.contains('1') || shown.contains("123456"), "{width}: {clipped}");
        }
        assert_eq!(clip("id=123456", 7), "id=…");
        assert_eq!(clip("日本語の行", 7), "日本語…");
        assert_eq!(clip("abcdefgh", 5), "abcd…");
    }
}
