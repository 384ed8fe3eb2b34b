//! Drawing primitives. All text goes through [`escaped`].

use std::fmt::Write;

use super::super::layout::{Point, Size};

pub(super) fn rect(out: &mut String, class: &str, at: Point, size: Size, radius: i32) {
    push(
        out,
        format_args!(
            "<rect class=\"{class}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"{radius}\"/>\n",
            at.x, at.y, size.width, size.height
        ),
    );
}

pub(super) fn text(out: &mut String, class: &str, x: i32, y: i32, words: &str) {
    push(
        out,
        format_args!("<text class=\"{class}\" x=\"{x}\" y=\"{y}\">{}</text>\n", escaped(words)),
    );
}

/// Appends; writing to a string does not fail.
pub(super) fn push(out: &mut String, words: std::fmt::Arguments<'_>) {
    let _ = out.write_fmt(words);
}

/// Estimated width of text in a proportional font, slightly more than the named fonts need.
pub(super) fn sans(text: &str, size: i32) -> i32 {
    text.chars().count() as i32 * size * 58 / 100
}

/// Width of text in a monospaced font.
pub(super) fn mono(text: &str, size: i32) -> i32 {
    text.chars().count() as i32 * size * 61 / 100
}

/// Escapes text for XML; characters invalid in XML are replaced.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\t' | '\n' | '\r' => out.push(' '),
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c if c < ' ' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_break_out() {
        let said = escaped("<a href=\"x\">&\u{1}\n\u{ffff}");
        assert_eq!(said, "&lt;a href=&quot;x&quot;&gt;&amp;\u{fffd} \u{fffd}");
    }
}
