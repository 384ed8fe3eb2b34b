//! How rows of CSV are written: what stands between fields, around them, and for nothing.

use serde::{Deserialize, Serialize};

/// The bytes with a meaning in CSV. The default is RFC 4180: commas, double quotes, no comments, and an
/// empty field for an absent value.
///
/// Invariant: the bytes are ASCII, differ from each other, and are no line breaks (`Dialect::check`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dialect {
    /// Between fields.
    pub delimiter: u8,
    /// Around a field that holds a delimiter, a quote or a line break; without one, no field holds any.
    pub quote: Option<u8>,
    /// A row that begins with it is no record. Nothing is written as a comment.
    pub comment: Option<u8>,
    /// What stands, without quotes, for an absent value.
    pub null: Null,
}

impl Default for Dialect {
    fn default() -> Self {
        Self { delimiter: b',', quote: Some(b'"'), comment: None, null: Null::default() }
    }
}

/// The text that stands for an absent value: at most [`Null::LONGEST`] bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Null {
    len: u8,
    bytes: [u8; Null::LONGEST],
}

impl Null {
    /// The longest text, in bytes.
    pub const LONGEST: usize = 15;

    /// The text; `None` if it is too long.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let mut null = Self { len: u8::try_from(text.len()).ok()?, ..Self::default() };
        null.bytes.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
        Some(null)
    }

    /// The text.
    #[must_use]
    #[inline]
    pub fn as_str(&self) -> &str {
        // Asked for each row.
        if self.len == 0 {
            return "";
        }
        // One that another process sent may be anything.
        let bytes = self.bytes.get(..usize::from(self.len)).unwrap_or_default();
        std::str::from_utf8(bytes).unwrap_or_default()
    }
}

/// The options that set the bytes, in the order in which [`Dialect::check`] compares them, and `null`.
const OPTIONS: [&str; 4] = ["delimiter", "quote", "comment", "null"];

impl Dialect {
    /// Takes the value of an option: `delimiter`, `quote`, `comment` or `null`.
    ///
    /// # Errors
    /// What was expected, when the value is not that.
    pub(crate) fn set(&mut self, option: &str, value: &str) -> Result<(), String> {
        match option {
            "null" => {
                let bad = value.contains(['\r', '\n', char::from(self.delimiter)]);
                let null = Null::new(value).filter(|_| !bad);
                self.null = null.ok_or_else(|| {
                    format!("expected a text of at most {} bytes in one field", Null::LONGEST)
                })?;
            }
            "quote" if matches!(value, "" | "none") => self.quote = None,
            "comment" if matches!(value, "" | "none") => self.comment = None,
            "quote" => self.quote = Some(byte(value)?),
            "comment" => self.comment = Some(byte(value)?),
            _ => self.delimiter = byte(value)?,
        }
        Ok(())
    }

    /// Refuses bytes that mean two things.
    ///
    /// # Errors
    /// Which options have the same value.
    pub(crate) fn check(&self) -> Result<(), String> {
        let all = [Some(self.delimiter), self.quote, self.comment];
        for (i, first) in all.iter().enumerate() {
            for (j, second) in all.iter().enumerate().skip(i + 1) {
                if first.is_some() && first == second {
                    let (first, second) = (OPTIONS[i], OPTIONS[j]);
                    return Err(format!("`{first}` and `{second}` must be different characters"));
                }
            }
        }
        Ok(())
    }
}

/// One character that cannot be part of a number or a line break.
fn byte(value: &str) -> Result<u8, String> {
    let named = match value {
        "tab" | "\\t" => Some(b'\t'),
        "comma" => Some(b','),
        "semicolon" => Some(b';'),
        "pipe" => Some(b'|'),
        "space" => Some(b' '),
        _ => None,
    };
    let single = match value.as_bytes() {
        [byte] if byte.is_ascii() && !byte.is_ascii_alphanumeric() => Some(*byte),
        _ => None,
    };
    named.or(single.filter(|byte| !b"\r\n.+-\0".contains(byte))).ok_or_else(|| {
        "expected one ASCII character that is no letter, digit, sign or line break, or `tab`, `comma`, \
         `semicolon`, `pipe`, `space`"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(option: &str, value: &str) -> Result<Dialect, String> {
        let mut dialect = Dialect::default();
        dialect.set(option, value)?;
        dialect.check()?;
        Ok(dialect)
    }

    #[test]
    fn characters_and_their_names() {
        for (value, byte) in [("tab", b'\t'), (";", b';'), ("pipe", b'|'), ("space", b' ')] {
            assert_eq!(set("delimiter", value).unwrap().delimiter, byte);
        }
        assert_eq!(set("quote", "'").unwrap().quote, Some(b'\''));
        assert_eq!(set("quote", "").unwrap().quote, None);
        assert_eq!(set("comment", "#").unwrap().comment, Some(b'#'));
        for value in ["", ";;", "a", "7", ".", "\n", "é", "tabs"] {
            assert!(set("delimiter", value).is_err(), "{value:?}");
        }
    }

    #[test]
    fn no_byte_means_two_things() {
        assert!(set("delimiter", "\"").unwrap_err().contains("`delimiter` and `quote`"));
        assert!(set("comment", ",").unwrap_err().contains("`delimiter` and `comment`"));
        assert!(set("comment", "\"").unwrap_err().contains("`quote` and `comment`"));
    }

    #[test]
    fn a_text_for_nothing() {
        assert_eq!(set("null", "NA").unwrap().null.as_str(), "NA");
        assert_eq!(set("null", "").unwrap().null.as_str(), "");
        assert_eq!(set("null", "fifteen_letters").unwrap().null.as_str(), "fifteen_letters");
        for value in ["sixteen__letters", "a,b", "a\nb"] {
            assert!(set("null", value).is_err(), "{value}");
        }
        let foreign = Null { len: 200, bytes: [0xff; Null::LONGEST] };
        assert_eq!(foreign.as_str(), "");
    }
}
