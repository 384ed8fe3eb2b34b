//! The URLs of outputs: what they may say, and what to write instead of what they may not.
//!
//! `FORMAT+file://DIR`, `FORMAT+stdout:` and `none:`, with options behind a `?`. Nothing is decoded:
//! a directory is named as a shell would name it.

use super::{Options, SinkError};
use crate::record::{DIALECT_OPTIONS, Dialect, Floats, Format};
use crate::source::unescape;

/// Where an output goes, as its URL says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// Files in a directory.
    Files { dir: String, format: Format, fsync: bool, header: bool, empty: bool },
    /// Standard output.
    Stdout { format: Format, header: bool },
    /// Nowhere.
    None,
}

/// Every scheme, as it is shown to users.
const SCHEMES: [(&str, &str); 8] = [
    ("text+file", "text+file://DIR"),
    ("csv+file", "csv+file://DIR"),
    ("json+file", "json+file://DIR"),
    ("text+stdout", "text+stdout:"),
    ("csv+stdout", "csv+stdout:"),
    ("json+stdout", "json+stdout:"),
    ("stdout", "stdout:"),
    ("none", "none:"),
];

struct Parser<'u>(&'u str);

impl Parser<'_> {
    fn error(&self, why: impl Into<String>) -> SinkError {
        SinkError::Url { url: self.0.to_owned(), why: why.into() }
    }

    fn unknown(&self, what: &str, given: &str, known: &[&str], shown: &[&str]) -> SinkError {
        let hint = match nearest(given, known) {
            Some(near) => format!("; did you mean `{}`?", shown[near]),
            None => String::new(),
        };
        self.error(format!("there is no {what} `{given}`{hint} Known: {}", shown.join(", ")))
    }
}

/// Reads the URL of an output; `defaults` hold where it says nothing.
pub(super) fn parse(url: &str, defaults: &Options) -> Result<Target, SinkError> {
    let parser = Parser(url);
    let (location, query) = url.split_once('?').unwrap_or((url, ""));
    let Some((scheme, rest)) = location.split_once(':') else {
        return Err(parser.error(format!(
            "an output is written as a URL; for files in this directory: `csv+file://{location}`"
        )));
    };
    let Some((format, medium)) = split_scheme(scheme) else {
        let (known, shown): (Vec<_>, Vec<_>) = SCHEMES.into_iter().unzip();
        return Err(parser.unknown("output", scheme, &known, &shown));
    };
    let csv = format == Format::Csv;
    let known: &[&str] = match (medium, format) {
        ("file", Format::Csv) => &["header", "delimiter", "quote", "null", "fsync", "empty"],
        ("file", Format::Json) => &["floats", "fsync", "empty"],
        ("file", Format::Text) => &["fsync", "empty"],
        ("stdout", Format::Csv) => &["header", "delimiter", "quote", "null"],
        ("stdout", Format::Json) => &["floats"],
        _ => &[],
    };
    let (mut header, mut fsync, mut empty) = (defaults.header, defaults.fsync, false);
    let mut dialect = Dialect::default();
    for option in query.split('&').filter(|option| !option.is_empty()) {
        let (name, value) = option.split_once('=').unwrap_or((option, "true"));
        if !known.contains(&name) {
            if known.is_empty() {
                return Err(parser.error(format!("`{scheme}:` has no options")));
            }
            if matches!(name, "header" | "delimiter" | "quote" | "null") {
                return Err(parser.error(format!("only `csv` has a `{name}`")));
            }
            if name == "floats" {
                let why = "only `json` needs `floats`: CSV and text hold NaN and infinities";
                return Err(parser.error(why));
            }
            return Err(parser.unknown("option", name, known, known));
        }
        if name == "empty" {
            empty = match value {
                "publish" => true,
                "skip" => false,
                _ => {
                    let why = format!("`empty` is `publish` or `skip`, not `{value}`");
                    return Err(parser.error(why));
                }
            };
            continue;
        }
        if name == "floats" {
            if Floats::of(value).is_none() {
                let why = format!("`floats` is {}, not `{value}`", Floats::WANTED);
                return Err(parser.error(why));
            }
            continue;
        }
        if DIALECT_OPTIONS.contains(&name) {
            set(&mut dialect, option)
                .map_err(|why| parser.error(format!("`{name}={value}`: {why}")))?;
            continue;
        }
        let value = match value {
            "true" => true,
            "false" => false,
            _ => {
                let why = format!("`{name}` is `true` or `false`, not `{value}`");
                return Err(parser.error(why));
            }
        };
        *(if name == "header" { &mut header } else { &mut fsync }) = value;
    }
    dialect.check().map_err(|why| parser.error(why))?;
    let header = header && csv;
    match medium {
        "file" => match rest.strip_prefix("//") {
            Some(dir) if !dir.is_empty() => {
                Ok(Target::Files { dir: dir.to_owned(), format, fsync, header, empty })
            }
            _ => Err(parser.error(format!(
                "a directory must follow: `{scheme}://out/counts` (relative) or `{scheme}:///srv/counts`"
            ))),
        },
        _ if !rest.is_empty() => {
            Err(parser.error(format!("nothing follows `{scheme}:`, but `{rest}` does")))
        }
        "stdout" => Ok(Target::Stdout { format, header }),
        _ => Ok(Target::None),
    }
}

/// The value of the option `floats`, which [`parse`] has checked.
pub(super) fn floats(url: &str) -> Option<Floats> {
    let (_, query) = url.split_once('?')?;
    query.split('&').find_map(|option| Floats::of(option.strip_prefix("floats=")?))
}

/// What the options say of how CSV is written, which [`parse`] has checked.
pub(super) fn dialect(url: &str) -> Dialect {
    let (_, query) = url.split_once('?').unwrap_or((url, ""));
    let mut dialect = Dialect::default();
    for option in query.split('&') {
        // What is wrong with one was said when the output was opened.
        let _ = set(&mut dialect, option);
    }
    dialect
}

/// Takes an option, if it is one of CSV.
fn set(dialect: &mut Dialect, option: &str) -> Result<(), String> {
    let (name, value) = option.split_once('=').unwrap_or((option, ""));
    if !DIALECT_OPTIONS.contains(&name) {
        return Ok(());
    }
    if name == "quote" && matches!(value, "" | "none") {
        return Err("an output needs quotes, for texts with delimiters and line breaks".to_owned());
    }
    dialect.set(name, &unescape(value))
}

fn split_scheme(scheme: &str) -> Option<(Format, &str)> {
    if matches!(scheme, "stdout" | "none") {
        return Some((Format::Text, scheme));
    }
    let (format, medium) = scheme.split_once('+')?;
    let format = match format {
        "text" => Format::Text,
        "csv" => Format::Csv,
        "json" => Format::Json,
        _ => return None,
    };
    matches!(medium, "file" | "stdout").then_some((format, medium))
}

/// The index of what was probably meant: what has it as a part, or is few letters away.
pub(crate) fn nearest(given: &str, known: &[&str]) -> Option<usize> {
    let part = known.iter().position(|name| name.split('+').any(|part| part == given));
    // Half a name of mistakes is another name.
    let far = |name: &str| Some(distance(given, name)).filter(|far| far * 2 <= name.len());
    let close = || (0..known.len()).filter_map(|i| Some((far(known[i])?, i))).min();
    part.or_else(|| close().map(|(_, i)| i))
}

/// Levenshtein's distance, one row at a time.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let cost = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = cost.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Result<Target, String> {
        parse(url, &Options::default()).map_err(|error| error.to_string())
    }

    #[test]
    fn directories_are_relative_or_absolute() {
        let files = |dir: &str, format, fsync, header| {
            Ok(Target::Files { dir: dir.to_owned(), format, fsync, header, empty: false })
        };
        assert_eq!(read("csv+file://out/x"), files("out/x", Format::Csv, true, true));
        assert_eq!(read("json+file:///srv/x"), files("/srv/x", Format::Json, true, false));
        let url = "csv+file:///x?header=false&fsync=false";
        assert_eq!(read(url), files("/x", Format::Csv, false, false));
        assert_eq!(read("text+file://x?fsync=false"), files("x", Format::Text, false, false));
        for (option, publishes) in [("empty=publish", true), ("empty=skip", false)] {
            let read = read(&format!("json+file://x?{option}"));
            assert!(matches!(read, Ok(Target::Files { empty, .. }) if empty == publishes));
        }
        let error = read("json+file://x?empty").unwrap_err();
        assert!(error.contains("`publish` or `skip`"), "{error}");
    }

    #[test]
    fn the_rest_has_no_directory() {
        assert_eq!(read("stdout:"), Ok(Target::Stdout { format: Format::Text, header: false }));
        let csv = Target::Stdout { format: Format::Csv, header: true };
        assert_eq!(read("csv+stdout:"), Ok(csv));
        assert_eq!(read("none:"), Ok(Target::None));
        assert!(read("stdout:out").unwrap_err().contains("nothing follows"));
    }

    #[test]
    fn json_says_what_becomes_of_floats() {
        for url in ["json+file://x?fsync=false&floats=string", "json+stdout:?floats=string"] {
            assert!(read(url).is_ok());
            assert_eq!(floats(url), Some(Floats::Strings));
        }
        assert_eq!(floats("json+stdout:?floats=refuse"), Some(Floats::Refuse));
        assert_eq!(floats("json+file://x"), None);
        let error = read("json+file://x?floats=null").unwrap_err();
        assert!(error.contains("`floats` is `string` or `refuse`, not `null`"), "{error}");
        let error = read("csv+file://x?floats=string").unwrap_err();
        assert!(error.contains("only `json` needs `floats`"), "{error}");
    }

    #[test]
    fn csv_has_dialects() {
        let url = "csv+file://x?delimiter=%3B&quote='&null=NA&header=false";
        assert_eq!(read(url), read("csv+file://x?header=false"));
        let is = dialect(url);
        assert_eq!((is.delimiter, is.quote, is.null.as_str()), (b';', Some(b'\''), "NA"));
        assert_eq!(dialect("csv+stdout:"), Dialect::default());
        let wrong = |url: &str| read(url).unwrap_err();
        assert!(wrong("csv+stdout:?delimiter=ab").contains("expected one ASCII character"));
        assert!(wrong("csv+stdout:?delimiter=%22").contains("must be different"));
        assert!(wrong("csv+stdout:?quote=").contains("needs quotes"));
        assert!(wrong("csv+stdout:?delimeter=;").contains("did you mean `delimiter`?"));
        assert!(wrong("json+file://x?delimiter=;").contains("only `csv` has a `delimiter`"));
    }

    #[test]
    fn mistakes_are_named_with_what_was_meant() {
        let error = read("cvs+file://out").unwrap_err();
        assert!(error.contains("did you mean `csv+file://DIR`?"), "{error}");
        assert!(error.contains("json+stdout:"), "{error}");
        let error = read("file://out").unwrap_err();
        assert!(error.contains("did you mean `text+file://DIR`?"), "{error}");
        let error = read("csv+file://out?headers=true").unwrap_err();
        assert!(error.contains("did you mean `header`?"), "{error}");
        let error = read("kafka://broker/topic").unwrap_err();
        assert!(!error.contains("did you mean"), "{error}");
        for url in ["out", "csv+file:out", "csv+file://", "none:?x=1", "json+file://x?header=true"]
        {
            assert!(read(url).is_err(), "{url}");
        }
        assert!(read("csv+file://x?fsync=no").unwrap_err().contains("`true` or `false`"));
    }
}
