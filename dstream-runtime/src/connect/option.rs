//! Options of URLs: their declarations, and how values are read.

use std::fmt;
use std::time::Duration;

use super::url::unescape;

/// An option that a connector or a format declares.
#[derive(Debug, Clone, Copy)]
pub struct OptionRow {
    /// What stands before the `=`.
    pub name: &'static str,
    /// What its values are.
    pub kind: Kind,
    /// What holds where the URL does not give it.
    pub preset: Preset,
    /// What it does, in one line.
    pub about: &'static str,
}

/// What the values of an option are.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// A number of bytes: `64MiB`, `1MB`, `4096`.
    Size {
        /// The smallest.
        least: u64,
    },
    /// A number: `100_000`.
    Count {
        /// The smallest.
        least: u64,
        /// The largest; `u64::MAX` for no bound.
        most: u64,
    },
    /// `NAME`, `NAME=true` or `NAME=false`.
    Flag,
    /// A time: `500ms`, `5s`, `2m`, `1h`.
    Time,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Text, in which `%41` stands for `A`.
    Text {
        /// What documentation shows for it, such as `CHAR`.
        shown: &'static str,
        /// Says what was expected of a text that is none of its values.
        check: fn(&str) -> Result<(), String>,
    },
}

/// What holds where a URL does not give an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// This value, as a URL would give it.
    Is(&'static str),
    /// What is described here: it depends on something else.
    Depends(&'static str),
    /// Nothing: what it does is not done.
    Unset,
    /// The URL must give it.
    Required,
}

/// A value that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// A size or a count.
    Number(u64),
    Flag(bool),
    Time(Duration),
    Word(&'static str),
    Text(String),
}

impl OptionRow {
    /// An option of this kind that may be left out.
    #[must_use]
    pub const fn new(name: &'static str, kind: Kind, about: &'static str) -> Self {
        Self { name, kind, preset: Preset::Unset, about }
    }

    /// A number of at least `least`.
    #[must_use]
    pub const fn count(name: &'static str, least: u64, about: &'static str) -> Self {
        Self::new(name, Kind::Count { least, most: u64::MAX }, about)
    }

    /// A number of bytes, at least one.
    #[must_use]
    pub const fn size(name: &'static str, about: &'static str) -> Self {
        Self::new(name, Kind::Size { least: 1 }, about)
    }

    /// True or false; false where it is not given.
    #[must_use]
    pub const fn flag(name: &'static str, about: &'static str) -> Self {
        Self::new(name, Kind::Flag, about).or("false")
    }

    /// A time.
    #[must_use]
    pub const fn time(name: &'static str, about: &'static str) -> Self {
        Self::new(name, Kind::Time, about)
    }

    /// One of these words.
    #[must_use]
    pub const fn choice(
        name: &'static str,
        words: &'static [&'static str],
        about: &'static str,
    ) -> Self {
        Self::new(name, Kind::Choice(words), about)
    }

    /// Any text. Documentation shows `shown` for it.
    #[must_use]
    pub const fn text(name: &'static str, shown: &'static str, about: &'static str) -> Self {
        Self::new(name, Kind::Text { shown, check: any }, about)
    }

    /// The largest value of a count.
    #[must_use]
    pub const fn at_most(self, most: u64) -> Self {
        let kind = match self.kind {
            Kind::Count { least, .. } => Kind::Count { least, most },
            kind => kind,
        };
        Self { kind, ..self }
    }

    /// The smallest value of a size or a count.
    #[must_use]
    pub const fn at_least(self, least: u64) -> Self {
        let kind = match self.kind {
            Kind::Count { most, .. } => Kind::Count { least, most },
            Kind::Size { .. } => Kind::Size { least },
            kind => kind,
        };
        Self { kind, ..self }
    }

    /// The value where the URL does not give it, as a URL would give it.
    #[must_use]
    pub const fn or(self, value: &'static str) -> Self {
        Self { preset: Preset::Is(value), ..self }
    }

    /// Describes what holds where the URL does not give it.
    #[must_use]
    pub const fn depends(self, on: &'static str) -> Self {
        Self { preset: Preset::Depends(on), ..self }
    }

    /// The URL must give it.
    #[must_use]
    pub const fn required(self) -> Self {
        Self { preset: Preset::Required, ..self }
    }

    /// What stands behind the `=` in documentation.
    #[must_use]
    pub fn values(&self) -> String {
        match self.kind {
            Kind::Size { .. } => "SIZE".to_owned(),
            Kind::Count { .. } => "N".to_owned(),
            Kind::Flag => "true|false".to_owned(),
            Kind::Time => "TIME".to_owned(),
            Kind::Choice(words) => words.join("|"),
            Kind::Text { shown, .. } => shown.to_owned(),
        }
    }

    /// The name of its type, for programs.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self.kind {
            Kind::Size { .. } => "size",
            Kind::Count { .. } => "count",
            Kind::Flag => "flag",
            Kind::Time => "time",
            Kind::Choice(_) => "choice",
            Kind::Text { .. } => "text",
        }
    }

    /// Reads a value.
    ///
    /// # Errors
    /// What was expected.
    pub(super) fn read(&self, text: &str) -> Result<Value, String> {
        let wanted = || format!("expected {}", self.kind);
        let value = match self.kind {
            Kind::Size { least } => {
                parse_size(text).filter(|size| *size >= least).map(Value::Number)
            }
            Kind::Count { least, most } => {
                let count = parse_count(text).filter(|count| (least..=most).contains(count));
                count.map(Value::Number)
            }
            Kind::Flag => match text {
                "" | "true" => Some(Value::Flag(true)),
                "false" => Some(Value::Flag(false)),
                _ => None,
            },
            Kind::Time => parse_time(text).map(Value::Time),
            Kind::Choice(words) => {
                words.iter().find(|word| **word == text).map(|word| Value::Word(word))
            }
            Kind::Text { check, .. } => {
                let text = unescape(text);
                check(&text)?;
                Some(Value::Text(text))
            }
        };
        value.ok_or_else(wanted)
    }
}

/// What a value must be, for errors.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Size { least } => {
                write!(f, "a size of at least {least} bytes, such as `64MiB`")
            }
            Self::Count { least, most: u64::MAX } => write!(f, "a number of at least {least}"),
            Self::Count { least, most } => write!(f, "a number from {least} to {most}"),
            Self::Flag => f.write_str("`true` or `false`"),
            Self::Time => f.write_str("a time such as `500ms`, `5s` or `2m`"),
            Self::Choice(words) => {
                for (at, word) in words.iter().enumerate() {
                    write!(f, "{}`{word}`", if at == 0 { "" } else { " or " })?;
                }
                Ok(())
            }
            Self::Text { shown, .. } => write!(f, "a text ({shown})"),
        }
    }
}

/// Whether no two options have the same name, and presets are values.
///
/// # Errors
/// Which option is declared twice, or has a preset that is none of its values.
pub(crate) fn declared_once(rows: &[&OptionRow]) -> Result<(), String> {
    for (at, row) in rows.iter().enumerate() {
        if rows[..at].iter().any(|other| other.name == row.name) {
            return Err(format!("the option `{}` is declared twice, or is one of all", row.name));
        }
        if let Preset::Is(text) = row.preset {
            row.read(text).map_err(|why| format!("the preset of `{}`: {why}", row.name))?;
        }
    }
    Ok(())
}

fn any(_: &str) -> Result<(), String> {
    Ok(())
}

fn parse_count(text: &str) -> Option<u64> {
    let digits = text.replace('_', "");
    (!digits.starts_with('+')).then(|| digits.parse().ok())?
}

fn parse_size(text: &str) -> Option<u64> {
    let unit = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let factor: u64 = match text[unit..].to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "t" | "tib" => 1 << 40,
        _ => return None,
    };
    parse_count(&text[..unit])?.checked_mul(factor)
}

fn parse_time(text: &str) -> Option<Duration> {
    let unit = text.find(|c: char| c.is_ascii_alphabetic())?;
    let factor = match &text[unit..] {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    Some(Duration::from_millis(parse_count(&text[..unit])?.checked_mul(factor)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, size) in [
            ("7", 7),
            ("7B", 7),
            ("2KB", 2000),
            ("2k", 2048),
            ("1_0GiB", 10 << 30),
            ("1TiB", 1 << 40),
        ] {
            assert_eq!(parse_size(text), Some(size), "{text}");
        }
        for text in ["", "MiB", "-1", "+1", "1.5MiB", "1XB", "99999999999GiB"] {
            assert_eq!(parse_size(text), None, "{text}");
        }
    }

    #[test]
    fn values_are_of_their_kind() {
        let read = |row: OptionRow, text: &str| row.read(text);
        let few = OptionRow::count("n", 1, "").at_most(10);
        assert_eq!(read(few, "1_0"), Ok(Value::Number(10)));
        assert_eq!(read(few, "11").unwrap_err(), "expected a number from 1 to 10");
        assert!(read(OptionRow::count("n", 3, ""), "2").unwrap_err().ends_with("at least 3"));
        assert_eq!(read(OptionRow::size("n", ""), "1MB"), Ok(Value::Number(1_000_000)));
        let large = OptionRow::size("n", "").at_least(2000);
        assert!(read(large, "1999").unwrap_err().contains("at least 2000 bytes"));
        assert!(read(OptionRow::size("n", ""), "0").unwrap_err().contains("at least 1 bytes"));
        assert_eq!(read(OptionRow::flag("n", ""), ""), Ok(Value::Flag(true)));
        assert_eq!(read(OptionRow::flag("n", ""), "no").unwrap_err(), "expected `true` or `false`");
        assert_eq!(read(OptionRow::time("n", ""), "2m"), Ok(Value::Time(Duration::from_secs(120))));
        let words = OptionRow::choice("n", &["a", "b"], "");
        assert_eq!(read(words, "b"), Ok(Value::Word("b")));
        assert_eq!(read(words, "c").unwrap_err(), "expected `a` or `b`");
        let text = OptionRow::text("n", "TEXT", "");
        assert_eq!(read(text, "%41%zz"), Ok(Value::Text("A%zz".to_owned())));
    }
}
