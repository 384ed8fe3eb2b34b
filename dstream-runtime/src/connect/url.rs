//! URLs of sources and sinks: `scheme://place?option&option=value`, taken apart.
//!
//! Decides what is scheme, place and option, and reads the values of options by the rows that their connector
//! declares. It knows no connector. An option that no row declares is an error, never ignored.

use std::ffi::OsString;
use std::fmt::Display;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::format::{self, FORMATS};
use super::near::unknown;
use super::option::{OptionRow, Preset, Value};
use crate::record::Format;

/// Why a URL is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{url}`: {why}")]
pub struct UrlError {
    /// The URL.
    pub url: String,
    /// What is wrong and what would be right.
    pub why: String,
}

/// The URL of a source or a sink, taken apart.
#[derive(Debug, Clone)]
pub struct ConnectorUrl {
    url: String,
    scheme: String,
    place: PathBuf,
    text: String,
    /// Of an output: whether slashes stand before the place.
    slashes: bool,
    options: Vec<(String, Option<String>)>,
    /// The options that its connector declares, once they were checked.
    rows: Vec<&'static OptionRow>,
}

/// Why a path is refused that begins with `~`: it would be a directory of that name.
pub(crate) const NOT_HOME: &str =
    "only a shell knows what `~` is, and only at the beginning of a word; write the path, or";

/// Whether a path begins with a `~` that stands for a home directory.
pub(crate) fn is_home(path: &str) -> bool {
    path.strip_prefix('~').is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// What the options of a URL are checked against.
pub(crate) struct Allowed<'a> {
    /// The connector, for errors: `a \`file\` source`.
    pub(crate) connector: &'a str,
    /// The options that it has.
    pub(crate) rows: Vec<&'static OptionRow>,
    /// How its records are written; none of a sink that writes none.
    pub(crate) format: Option<Format>,
}

impl ConnectorUrl {
    /// Takes the URL of a source apart; what has no scheme is the path of a file. Only a URL has escapes (`%41`).
    pub(crate) fn source(url: &str) -> Result<Self, UrlError> {
        let (scheme, rest) = match url.split_once("://") {
            Some((scheme, rest)) if is_scheme(scheme) => (scheme, rest),
            _ => match url.split_once(':') {
                Some(("file", rest)) => ("file", rest),
                Some(("stdin", rest)) if rest.is_empty() || rest.starts_with('?') => {
                    ("stdin", rest)
                }
                _ => ("", url),
            },
        };
        let (place, query) = split_query(rest);
        let (scheme, place) = if scheme == "stdin" { ("", "-") } else { (scheme, place) };
        let place = if scheme.is_empty() { place.into() } else { unescape_path(place) };
        let scheme = if scheme.is_empty() { "file" } else { scheme };
        Self::made(url, scheme, place, query)
    }

    /// Takes the URL of an output apart: `FORMAT+scheme://place` or `scheme:`. Nothing is decoded: a directory is
    /// named as a shell would name it.
    pub(crate) fn sink(url: &str) -> Result<Self, UrlError> {
        let (location, query) = url.split_once('?').unwrap_or((url, ""));
        let Some((scheme, place)) = location.split_once(':') else {
            let why = format!(
                "an output is written as a URL; for files in this directory: `csv+file://{location}`"
            );
            return Err(UrlError { url: url.to_owned(), why });
        };
        let path = place.strip_prefix("//");
        let this = Self::made(url, scheme, path.unwrap_or(place).into(), query)?;
        Ok(Self { slashes: path.is_some(), ..this })
    }

    fn made(url: &str, scheme: &str, place: PathBuf, query: &str) -> Result<Self, UrlError> {
        let mut this = Self {
            url: url.to_owned(),
            scheme: scheme.to_owned(),
            text: place.to_string_lossy().into_owned(),
            place,
            slashes: false,
            options: Vec::new(),
            rows: Vec::new(),
        };
        let is_file = scheme == "file" || scheme.ends_with("+file");
        if is_file && is_home(&this.text) {
            let path = format!("{NOT_HOME}: \"{}\"", url.replacen('~', "$HOME", 1));
            return Err(this.fail(path));
        }
        for option in query.split('&').filter(|o| !o.is_empty()) {
            let (name, value) = match option.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (option, None),
            };
            if this.has(name) {
                return Err(this.fail(format!("the option `{name}` is given twice")));
            }
            this.options.push((name.to_owned(), value));
        }
        Ok(this)
    }

    /// What stands before the place: `generate`, `csv+file`.
    #[must_use]
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// What stands between the scheme and the options.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.text
    }

    /// The same where it is a path, of any bytes.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.place
    }

    /// Of an output, whether `//` stands before the place.
    pub(crate) fn has_slashes(&self) -> bool {
        self.slashes
    }

    /// The URL as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.url
    }

    /// An error about this URL.
    #[must_use]
    pub fn fail(&self, why: impl Display) -> UrlError {
        UrlError { url: self.url.clone(), why: why.to_string() }
    }

    /// Whether the URL gives an option.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.options.iter().any(|(known, _)| known == name)
    }

    /// The value of an option if the URL gives it: `url.if_given("rate", ConnectorUrl::count)`.
    ///
    /// # Errors
    /// Those of `get`.
    pub fn if_given<T>(
        &self,
        name: &str,
        get: impl FnOnce(&Self, &str) -> Result<T, UrlError>,
    ) -> Result<Option<T>, UrlError> {
        if self.has(name) { get(self, name).map(Some) } else { Ok(None) }
    }

    /// The value of an option of [`Kind::Size`](super::Kind::Size), in bytes: as given, or its preset.
    ///
    /// # Errors
    /// When there is neither, or the connector declares no such option.
    pub fn size(&self, name: &str) -> Result<u64, UrlError> {
        self.count(name)
    }

    /// The value of an option of [`Kind::Count`](super::Kind::Count): as given, or its preset.
    ///
    /// # Errors
    /// When there is neither, or the connector declares no such option.
    pub fn count(&self, name: &str) -> Result<u64, UrlError> {
        match self.value(name)? {
            Value::Number(number) => Ok(number),
            _ => Err(self.undeclared(name)),
        }
    }

    /// The value of an option of [`Kind::Flag`](super::Kind::Flag): as given, or its preset.
    ///
    /// # Errors
    /// When there is neither, or the connector declares no such option.
    pub fn flag(&self, name: &str) -> Result<bool, UrlError> {
        match self.value(name)? {
            Value::Flag(flag) => Ok(flag),
            _ => Err(self.undeclared(name)),
        }
    }

    /// The value of an option of [`Kind::Time`](super::Kind::Time): as given, or its preset.
    ///
    /// # Errors
    /// When there is neither, or the connector declares no such option.
    pub fn time(&self, name: &str) -> Result<Duration, UrlError> {
        match self.value(name)? {
            Value::Time(time) => Ok(time),
            _ => Err(self.undeclared(name)),
        }
    }

    /// The value of an option of [`Kind::Choice`](super::Kind::Choice): as given, or its preset.
    ///
    /// # Errors
    /// When there is neither, or the connector declares no such option.
    pub fn choice(&self, name: &str) -> Result<&'static str, UrlError> {
        match self.value(name)? {
            Value::Word(word) => Ok(word),
            _ => Err(self.undeclared(name)),
        }
    }

    /// The value of an option of [`Kind::Text`](super::Kind::Text), escapes resolved: as given, or its preset.
    ///
    /// # Errors
    /// When there is neither, or the connector declares no such option.
    pub fn text(&self, name: &str) -> Result<String, UrlError> {
        match self.value(name)? {
            Value::Text(text) => Ok(text),
            _ => Err(self.undeclared(name)),
        }
    }

    fn value(&self, name: &str) -> Result<Value, UrlError> {
        let row = self.rows.iter().find(|row| row.name == name);
        let row = row.ok_or_else(|| self.undeclared(name))?;
        match (self.value_of(row)?, row.preset) {
            (Some(value), _) => Ok(value),
            (None, Preset::Is(text)) => row.read(text).map_err(|why| {
                self.fail(format!("the preset of `{name}`: {why}: a mistake in its declaration"))
            }),
            (None, _) => Err(self.missing(row)),
        }
    }

    fn missing(&self, row: &OptionRow) -> UrlError {
        let (name, values) = (row.name, row.values());
        self.fail(format!("the option `{name}={values}` is missing: it is {}", row.kind))
    }

    fn undeclared(&self, name: &str) -> UrlError {
        self.fail(format!(
            "its connector reads an option `{name}` that it does not declare as such"
        ))
    }

    /// The value of an option if it is given, whatever connector the URL is of.
    pub(super) fn value_of(&self, row: &OptionRow) -> Result<Option<Value>, UrlError> {
        let Some((name, value)) = self.options.iter().find(|(name, _)| name == row.name) else {
            return Ok(None);
        };
        let text = value.as_deref().unwrap_or_default();
        let value = row.read(text);
        value.map(Some).map_err(|why| self.fail(format!("`{name}={text}`: {why}")))
    }

    /// The word of an option if it is given, whatever connector the URL is of.
    pub(crate) fn word_of(&self, row: &OptionRow) -> Result<Option<&'static str>, UrlError> {
        Ok(self.value_of(row)?.and_then(|value| match value {
            Value::Word(word) => Some(word),
            _ => None,
        }))
    }

    /// The number of an option if it is given, whatever connector the URL is of.
    pub(crate) fn number_of(&self, row: &OptionRow) -> Result<Option<u64>, UrlError> {
        Ok(self.value_of(row)?.and_then(|value| match value {
            Value::Number(number) => Some(number),
            _ => None,
        }))
    }

    /// The text of an option, escapes resolved, if it is given, whatever connector the URL is of.
    pub(crate) fn text_of(&self, row: &OptionRow) -> Result<Option<String>, UrlError> {
        Ok(self.value_of(row)?.and_then(|value| match value {
            Value::Text(text) => Some(text),
            _ => None,
        }))
    }

    /// Checks all options, those that are given and those that must be; only then are they read by name.
    ///
    /// # Errors
    /// Which option is unknown or of another format, or what was expected instead of which value.
    pub(crate) fn check(&mut self, allowed: Allowed<'_>) -> Result<(), UrlError> {
        let Allowed { connector, rows, format } = allowed;
        for (name, _) in &self.options {
            if let Some(row) = rows.iter().find(|row| row.name == name) {
                self.value_of(row)?;
                continue;
            }
            let is_of = |of: &&format::FormatRow| {
                Some(of.format) != format
                    && of.reads.iter().chain(of.writes).any(|row| row.name == name)
            };
            return Err(match (FORMATS.iter().find(is_of), format) {
                (Some(of), Some(format)) => self.fail(format!(
                    "`{name}` is an option of {}, and the records of {connector} are {} here",
                    of.title,
                    format::row_of(format).title
                )),
                _ if rows.is_empty() => {
                    self.fail(format!("{connector} has no options, and `{name}` is given"))
                }
                _ => {
                    let known: Vec<&str> = rows.iter().map(|row| row.name).collect();
                    self.fail(unknown("option", name, &format!("{connector} has"), &known))
                }
            });
        }
        let required = |row: &&&OptionRow| row.preset == Preset::Required && !self.has(row.name);
        if let Some(row) = rows.iter().find(required) {
            return Err(self.missing(row));
        }
        self.rows = rows;
        Ok(())
    }

    /// Whether it has a word in the place of a scheme that lacks its slashes, or is a plain path otherwise: the
    /// word and the rest.
    pub(crate) fn without_slashes(&self) -> Option<(&str, &str)> {
        let (word, rest) = self.url.split_once(':')?;
        (self.scheme == "file" && word != "file" && !rest.starts_with("//")).then_some((word, rest))
    }

    /// The URL with more options.
    pub(crate) fn with(&self, options: &str) -> String {
        let join = if self.options.is_empty() { '?' } else { '&' };
        format!("{}{join}{options}", self.url)
    }
}

/// Whether a URL may begin with it.
pub(crate) fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-._".contains(c))
}

/// A `?` begins the options only if what follows looks like options: it is a wildcard otherwise.
fn split_query(rest: &str) -> (&str, &str) {
    let is_option = |option: &str| {
        let name = option.split('=').next().unwrap_or_default();
        name.starts_with(|c: char| c.is_ascii_alphabetic())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
    };
    rest.match_indices('?')
        .map(|(at, _)| (&rest[..at], &rest[at + 1..]))
        .find(|(_, query)| query.split('&').all(|o| o.is_empty() || is_option(o)))
        .unwrap_or((rest, ""))
}

/// Replaces `%41` by `A`; what is no escape stays, and all of it where the result is no text.
pub(crate) fn unescape(text: &str) -> String {
    unescape_path(text).into_os_string().into_string().unwrap_or_else(|_| text.to_owned())
}

/// The same for a path, which is made of any bytes.
fn unescape_path(text: &str) -> PathBuf {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let escape = tail
            .get(..2)
            .filter(|hex| first == b'%' && hex.iter().all(u8::is_ascii_hexdigit))
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(escape.unwrap_or(first));
        rest = if escape.is_some() { &tail[2..] } else { tail };
    }
    OsString::from_vec(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_directory_is_for_the_shell_to_name() {
        for url in ["csv+file://~/out", "text+file://~", "csv+file://~/a?header=false"] {
            let why = ConnectorUrl::sink(url).unwrap_err().to_string();
            assert!(why.contains("only a shell") && why.contains("file://$HOME"), "{why}");
        }
        for url in ["~/in.csv", "file://~/in", "file:~/in?follow"] {
            assert!(
                ConnectorUrl::source(url).unwrap_err().to_string().contains("$HOME/in"),
                "{url}"
            );
        }
        for url in ["./~/in.csv", "file:///a/~/b", "a~", "~backup.csv", "file://~me/x"] {
            assert!(ConnectorUrl::source(url).is_ok(), "{url}");
        }
        assert!(ConnectorUrl::sink("csv+table://~").is_ok());
    }

    const ROWS: [OptionRow; 8] = [
        OptionRow::size("batch", "").depends("on"),
        OptionRow::count("n", 1, "").at_most(5000).or("7"),
        OptionRow::flag("follow", ""),
        OptionRow::flag("header", "").or("true"),
        OptionRow::time("settle", "").or("5s"),
        OptionRow::choice("on_error", &["skip", "stop"], "").or("skip"),
        OptionRow::text("null", "TEXT", ""),
        OptionRow::text("bad", "TEXT", ""),
    ];

    fn checked(url: &str) -> Result<ConnectorUrl, String> {
        let mut url = ConnectorUrl::source(url).map_err(|error| error.to_string())?;
        let rows = ROWS.iter().collect();
        let allowed = Allowed { connector: "an `x` source", rows, format: Some(Format::Text) };
        url.check(allowed).map_err(|error| error.to_string())?;
        Ok(url)
    }

    fn place(url: &str) -> (String, String) {
        let url = ConnectorUrl::source(url).unwrap();
        (url.scheme, url.text)
    }

    #[test]
    fn schemes_and_paths() {
        let file = |path: &str| ("file".to_owned(), path.to_owned());
        assert_eq!(place("file:///abs/dir"), file("/abs/dir"));
        assert_eq!(place("file://relative/path?follow"), file("relative/path"));
        assert_eq!(place("file:/abs"), file("/abs"));
        assert_eq!(place("logs/part-?.txt?split=1MiB"), file("logs/part-?.txt"));
        assert_eq!(place("file:///a%20b%3F%zz"), file("/a b?%zz"));
        assert_eq!(place("a%20b"), file("a%20b"));
        let bytes = ConnectorUrl::source("file:a%E9%FF").unwrap();
        assert_eq!(bytes.path().as_os_str().as_encoded_bytes(), b"a\xe9\xff");
        assert_eq!(place("-?batch_records=7"), file("-"));
        assert_eq!(place("stdin:"), file("-"));
        assert_eq!(place("stdin:?header=true"), file("-"));
        assert_eq!(place("stdin:x"), file("stdin:x"));
        assert_eq!(place("tcp://[::1]:0"), ("tcp".to_owned(), "[::1]:0".to_owned()));
        let bare = |url: &str| {
            let url = ConnectorUrl::source(url).unwrap();
            url.without_slashes().map(|(word, rest)| (word.to_owned(), rest.to_owned()))
        };
        assert_eq!(bare("tcp:9000"), Some(("tcp".to_owned(), "9000".to_owned())));
        assert_eq!((bare("tcp://h:9000"), bare("file:x"), bare("a/b")), (None, None, None));
    }

    #[test]
    fn options_are_read_by_their_rows() {
        let url =
            checked("x?batch=64MiB&n=1_000&follow&header=false&on_error=stop&null=%41").unwrap();
        assert_eq!(url.size("batch"), Ok(64 << 20));
        assert_eq!((url.count("n"), url.flag("follow")), (Ok(1000), Ok(true)));
        assert_eq!((url.flag("header"), url.choice("on_error")), (Ok(false), Ok("stop")));
        assert_eq!(url.text("null"), Ok("A".to_owned()));
        let bare = checked("x").unwrap();
        assert_eq!((bare.count("n"), bare.flag("follow")), (Ok(7), Ok(false)));
        assert_eq!((bare.flag("header"), bare.choice("on_error")), (Ok(true), Ok("skip")));
        assert_eq!(bare.time("settle"), Ok(Duration::from_secs(5)));
        assert_eq!(bare.if_given("batch", ConnectorUrl::size), Ok(None));
        assert!(bare.size("batch").unwrap_err().why.contains("`batch=SIZE` is missing"));
        // A connector that reads what it does not declare.
        assert!(bare.size("zip").unwrap_err().why.contains("does not declare"));
        assert!(bare.time("n").unwrap_err().why.contains("does not declare"));
    }

    #[test]
    fn mistakes_name_option_value_and_what_was_expected() {
        let wrong = |url: &str| checked(url).unwrap_err();
        assert_eq!(wrong("x?n=0"), "`x?n=0`: `n=0`: expected a number from 1 to 5000");
        assert!(wrong("x?follow=yes").contains("`follow=yes`: expected `true` or `false`"));
        assert!(wrong("x?a=1&a=2").contains("twice"));
        let unknown = wrong("x?batsh=1");
        let is = "`x?batsh=1`: unknown option `batsh`; did you mean `batch`? (an `x` source has: `batch`, ";
        assert!(unknown.starts_with(is), "{unknown}");
        let other = wrong("x?quote='");
        assert!(
            other.contains(
                "`quote` is an option of CSV, and the records of an `x` source are text here"
            ),
            "{other}"
        );
        let mut none = ConnectorUrl::sink("none:?x=1").unwrap();
        let allowed = Allowed { connector: "a `none` output", rows: Vec::new(), format: None };
        assert!(none.check(allowed).unwrap_err().why.contains("has no options"));
    }

    #[test]
    fn what_must_be_given_is_missed() {
        const TO: OptionRow = OptionRow::count("to", 1, "").required();
        let check = |url: &str| {
            let mut url = ConnectorUrl::source(url).unwrap();
            let allowed = Allowed {
                connector: "a `seq` source",
                rows: vec![&TO],
                format: Some(Format::Text),
            };
            url.check(allowed).and_then(|()| url.count("to"))
        };
        assert_eq!(check("seq://?to=5"), Ok(5));
        let why = check("seq://").unwrap_err().why;
        assert_eq!(why, "the option `to=N` is missing: it is a number of at least 1");
    }

    #[test]
    fn outputs_begin_with_a_format() {
        let sink = ConnectorUrl::sink("csv+file://out/a%20b?header=false").unwrap();
        assert_eq!((sink.scheme(), sink.place()), ("csv+file", "out/a%20b"));
        assert!(sink.has("header"));
        assert!(ConnectorUrl::sink("out").unwrap_err().why.contains("`csv+file://out`"));
        assert_eq!(ConnectorUrl::sink("x:y").unwrap().with("a=1"), "x:y?a=1");
        assert_eq!(ConnectorUrl::source("p?b=1").unwrap().with("a=1"), "p?b=1&a=1");
    }
}
