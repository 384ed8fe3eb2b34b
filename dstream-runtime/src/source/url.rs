//! URLs of sources: `scheme://place?option&option=value`.
//!
//! Decides what is scheme, place and option, and what the values mean. It knows no scheme: each
//! says which options it has. An option that nobody knows is an error, never ignored.

use std::fmt::Display;

use super::form::{Form, HeaderRow};
use super::framing::{Outer, SPAN};
use super::{Batching, Framing, OnError, OnPanic, OpenOptions, Policy, Rows, SourceError};
use crate::record::{DIALECT_OPTIONS, Dialect, Floats, Format};

/// A URL, taken apart.
#[derive(Debug)]
pub(super) struct SourceUrl {
    url: String,
    scheme: String,
    place: String,
    options: Vec<(String, Option<String>)>,
}

impl SourceUrl {
    /// Takes `url` apart; what has no scheme is the path of a file.
    pub(super) fn parse(url: &str) -> Result<Self, SourceError> {
        let (scheme, rest) = match url.split_once("://") {
            Some((scheme, rest)) if is_scheme(scheme) => (scheme, rest),
            _ => match url.split_once(':') {
                Some(("file", rest)) => ("file", rest),
                Some((scheme @ ("tcp" | "http" | "generate"), rest)) => {
                    let why = format!("write `{scheme}://{rest}`");
                    return Err(SourceError::Url { url: url.to_owned(), why });
                }
                _ => ("", url),
            },
        };
        let (place, query) = split_query(rest);
        // A plain path is taken as it is; only a URL has escapes.
        let place = if scheme.is_empty() { place.to_owned() } else { unescape(place) };
        let mut this = Self {
            url: url.to_owned(),
            scheme: if scheme.is_empty() { "file" } else { scheme }.to_owned(),
            place,
            options: Vec::new(),
        };
        for option in query.split('&').filter(|o| !o.is_empty()) {
            let (name, value) = match option.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (option, None),
            };
            if this.options.iter().any(|(known, _)| known == name) {
                return Err(this.fail(format!("the option `{name}` is given twice")));
            }
            this.options.push((name.to_owned(), value));
        }
        Ok(this)
    }

    pub(super) fn scheme(&self) -> &str {
        &self.scheme
    }

    /// What stands between the scheme and the options.
    pub(super) fn place(&self) -> &str {
        &self.place
    }

    /// An error about this URL.
    pub(super) fn fail(&self, why: impl Display) -> SourceError {
        SourceError::Url { url: self.url.clone(), why: why.to_string() }
    }

    /// Refuses options other than these.
    pub(super) fn allow(&self, known: &[&str]) -> Result<(), SourceError> {
        match self.options.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            Some((name, _)) => Err(self.fail(unknown("option", name, known))),
            None => Ok(()),
        }
    }

    fn value<T>(
        &self,
        name: &str,
        wanted: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, SourceError> {
        let Some((_, value)) = self.options.iter().find(|(known, _)| known == name) else {
            return Ok(None);
        };
        let text = value.as_deref().unwrap_or_default();
        match parse(text) {
            Some(value) => Ok(Some(value)),
            None => Err(self.fail(format!("`{name}={text}`: expected {wanted}"))),
        }
    }

    /// A number of bytes, at least `least`: `64MiB`, `1MB`, `4096`.
    pub(super) fn size(&self, name: &str, least: u64) -> Result<Option<u64>, SourceError> {
        let wanted = format!("a size of at least {least} bytes, such as `64MiB`");
        self.value(name, &wanted, |text| parse_size(text).filter(|size| *size >= least))
    }

    /// A number in a range: `100_000`.
    pub(super) fn count(
        &self,
        name: &str,
        least: u64,
        most: u64,
    ) -> Result<Option<u64>, SourceError> {
        let wanted = match most {
            u64::MAX => format!("a number of at least {least}"),
            _ => format!("a number from {least} to {most}"),
        };
        self.value(name, &wanted, |text| {
            parse_count(text).filter(|count| (least..=most).contains(count))
        })
    }

    /// `name`, `name=true` or `name=false`.
    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>, SourceError> {
        self.value(name, "`true` or `false`", |text| match text {
            "" | "true" => Some(true),
            "false" => Some(false),
            _ => None,
        })
    }

    /// The options `on_error`, `on_panic` and `floats`, which every scheme has.
    pub(super) fn policy(&self) -> Result<Policy, SourceError> {
        let on_error = self.value("on_error", "`skip` or `stop`", |text| match text {
            "skip" => Some(OnError::Skip),
            "stop" => Some(OnError::Stop),
            _ => None,
        })?;
        let on_panic = self.value("on_panic", "`stop` or `dead_letter`", |text| match text {
            "stop" => Some(OnPanic::Stop),
            "dead_letter" => Some(OnPanic::DeadLetter),
            _ => None,
        })?;
        let floats = self.value("floats", Floats::WANTED, Floats::of)?;
        Ok(Policy {
            on_error: on_error.unwrap_or_default(),
            on_panic: on_panic.unwrap_or_default(),
            floats: floats.unwrap_or_default(),
        })
    }

    /// The options `windows` and `join` of a source that is read to its end.
    pub(super) fn batching(&self) -> Result<Batching, SourceError> {
        let windows =
            self.value("windows", "`batches`", |text| (text == "batches").then_some(()))?.is_some();
        if windows && !self.has("batch") && !self.has("batch_records") {
            return Err(self.fail(
                "`windows=batches` takes one batch as one interval: say how much that is with `batch_records=N` \
                 or `batch=SIZE`",
            ));
        }
        let joins = self.value("join", "`batch`", |text| (text == "batch").then_some(()))?;
        Ok(Batching { windows, joins: joins.is_some() })
    }

    /// Whether it has an option.
    pub(super) fn has(&self, name: &str) -> bool {
        self.options.iter().any(|(known, _)| known == name)
    }

    /// The URL with more options.
    pub(super) fn with(&self, options: &str) -> String {
        let join = if self.options.is_empty() { '?' } else { '&' };
        format!("{}{join}{options}", self.url)
    }

    /// How splits begin and where their records end: the options of CSV, which every scheme has.
    pub(super) fn form(&self, format: Format, options: &OpenOptions) -> Result<Form, SourceError> {
        let header = self.flag("header")?;
        if format != Format::Json && self.option("floats").is_some() {
            return Err(self.fail("only JSON needs `floats`: CSV and text hold NaN and infinities"));
        }
        let schema = options.schema;
        if format != Format::Csv {
            if let Some(name) = DIALECT_OPTIONS.iter().find(|name| self.option(name).is_some()) {
                let why =
                    format!("`{name}` is an option of CSV; this source is read as text or JSON");
                return Err(self.fail(why));
            }
            if header == Some(true) {
                return Err(self.fail("only CSV has a header; this source is read as text or JSON"));
            }
            let json = (format == Format::Json).then(|| Outer::of(schema.as_ref()));
            return Ok(Form { framing: Framing::of(format), header: HeaderRow::No, json, schema });
        }
        let header = match header {
            Some(true) => HeaderRow::Yes,
            Some(false) => HeaderRow::No,
            None if options.header_default => HeaderRow::Yes,
            None if schema.is_some() => HeaderRow::IfNamed,
            None => HeaderRow::No,
        };
        let span = self.size("max_line", 1)?.unwrap_or(SPAN);
        let framing = Framing::Csv(Rows { dialect: self.dialect()?, span });
        Ok(Form { framing, header, json: None, schema })
    }

    fn dialect(&self) -> Result<Dialect, SourceError> {
        let mut dialect = Dialect::default();
        for name in DIALECT_OPTIONS {
            if let Some(value) = self.option(name) {
                let set = dialect.set(name, &unescape(value));
                set.map_err(|why| self.fail(format!("`{name}={value}`: {why}")))?;
            }
        }
        dialect.check().map_err(|why| self.fail(why))?;
        Ok(dialect)
    }

    /// The text of an option, if it is given.
    fn option(&self, name: &str) -> Option<&str> {
        let given = self.options.iter().find(|(known, _)| known == name);
        given.map(|(_, value)| value.as_deref().unwrap_or_default())
    }
}

/// What is unknown, what it may have been meant to be, and what is known.
pub(crate) fn unknown(kind: &str, name: &str, known: &[&str]) -> String {
    let meant = near(name, known).map(|name| format!("; did you mean `{name}`?"));
    let meant = meant.unwrap_or_default();
    let list: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
    format!("unknown {kind} `{name}`{meant} (known: {})", list.join(", "))
}

/// What a name may have been meant to be.
pub(super) fn near<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    known
        .iter()
        .map(|candidate| (distance(name, candidate), *candidate))
        .min()
        .filter(|(distance, candidate)| *distance <= candidate.len().div_ceil(3))
        .map(|(_, candidate)| candidate)
}

/// How many letters have to be inserted, removed or replaced.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

fn is_scheme(text: &str) -> bool {
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

/// Replaces `%41` by `A`; what is no escape stays.
pub(crate) fn unescape(text: &str) -> String {
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
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
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
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        _ => return None,
    };
    parse_count(&text[..unit])?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Schema;

    fn place(url: &str) -> (String, String) {
        let url = SourceUrl::parse(url).unwrap();
        (url.scheme, url.place)
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
        assert_eq!(place("tcp://[::1]:0"), ("tcp".to_owned(), "[::1]:0".to_owned()));
        assert!(SourceUrl::parse("tcp:9000").unwrap_err().to_string().contains("tcp://9000"));
    }

    #[test]
    fn options() {
        let url =
            SourceUrl::parse("x?batch=64MiB&n=1_000&follow&header=false&on_error=stop").unwrap();
        assert_eq!(url.size("batch", 1).unwrap(), Some(64 << 20));
        assert_eq!(url.count("n", 1, u64::MAX).unwrap(), Some(1000));
        assert_eq!(url.count("m", 1, u64::MAX).unwrap(), None);
        assert_eq!(url.flag("follow").unwrap(), Some(true));
        assert_eq!(url.flag("header").unwrap(), Some(false));
        assert_eq!(url.policy().unwrap().on_error, OnError::Stop);
        assert_eq!(url.policy().unwrap().on_panic, OnPanic::Stop);
        let glob = SourceUrl::parse("part-?.txt?on_panic=dead_letter").unwrap();
        assert_eq!(glob.policy().unwrap().on_panic, OnPanic::DeadLetter);
        let floats = SourceUrl::parse("x?floats=string").unwrap();
        assert_eq!(floats.policy().unwrap().floats, Floats::Strings);
        assert!(floats.form(Format::Csv, &OpenOptions::default()).is_err());
        assert!(floats.form(Format::Json, &OpenOptions::default()).is_ok());
        let unclear = SourceUrl::parse("x?floats=null").unwrap();
        assert!(unclear.policy().unwrap_err().to_string().contains("`string` or `refuse`"));
        let wrong = SourceUrl::parse("x?on_panic=skip").unwrap();
        assert!(wrong.policy().unwrap_err().to_string().contains("`dead_letter`"));
        assert!(url.count("n", 1, 10).unwrap_err().to_string().contains("from 1 to 10"));
        assert!(url.size("n", 2000).is_err());
        assert!(url.flag("n").is_err());
        assert!(SourceUrl::parse("x?a=1&a=2").unwrap_err().to_string().contains("twice"));
    }

    #[test]
    fn batches_stand_for_intervals_only_by_name() {
        let batching = |url: &str| {
            SourceUrl::parse(url).unwrap().batching().map_err(|error| error.to_string())
        };
        assert_eq!(batching("x?batch=1MiB"), Ok(Batching::default()));
        let both = Batching { windows: true, joins: true };
        assert_eq!(batching("x?batch_records=10&windows=batches&join=batch"), Ok(both));
        assert!(batching("x?windows=batches").unwrap_err().contains("`batch_records=N`"));
        assert!(batching("x?batch=1&windows=5m").unwrap_err().contains("expected `batches`"));
        assert!(batching("x?join").unwrap_err().contains("expected `batch`"));
        let with = |url: &str| SourceUrl::parse(url).unwrap().with("join=batch");
        assert_eq!(with("part-?.txt"), "part-?.txt?join=batch");
        assert_eq!(with("part-?.txt?batch=1"), "part-?.txt?batch=1&join=batch");
    }

    #[test]
    fn sizes() {
        for (text, size) in [("7", 7), ("7B", 7), ("2KB", 2000), ("2k", 2048), ("1_0GiB", 10 << 30)]
        {
            assert_eq!(parse_size(text), Some(size), "{text}");
        }
        for text in ["", "MiB", "-1", "+1", "1.5MiB", "1XB", "99999999999GiB"] {
            assert_eq!(parse_size(text), None, "{text}");
        }
    }

    #[test]
    fn unknown_options_name_the_known_ones() {
        let url = SourceUrl::parse("x?batsh=1").unwrap();
        let error = url.allow(&["batch", "split"]).unwrap_err().to_string();
        assert_eq!(
            error,
            "`x?batsh=1`: unknown option `batsh`; did you mean `batch`? (known: `batch`, `split`)"
        );
        assert!(!unknown("option", "zzz", &["batch"]).contains("mean"));
    }

    #[test]
    fn only_csv_has_headers() {
        let url = SourceUrl::parse("x?header=true").unwrap();
        let options = OpenOptions::default();
        assert_eq!(url.form(Format::Csv, &options).unwrap().header, HeaderRow::Yes);
        assert!(url.form(Format::Json, &options).is_err());
        let header = |url: &str, schema, header_default| {
            let options = OpenOptions { schema, header_default, ..OpenOptions::default() };
            SourceUrl::parse(url).unwrap().form(Format::Csv, &options).unwrap().header
        };
        let text = Some(Schema::Scalar("str"));
        assert_eq!(header("x", text, false), HeaderRow::IfNamed);
        assert_eq!(header("x", text, true), HeaderRow::Yes);
        assert_eq!(header("x?header=false", text, true), HeaderRow::No);
        assert_eq!(header("x", None, false), HeaderRow::No);
    }

    #[test]
    fn rows_have_options() {
        let form = |url: &str, format| {
            let form = SourceUrl::parse(url).unwrap().form(format, &OpenOptions::default());
            form.map(|form| form.framing.rows()).map_err(|error| error.to_string())
        };
        let rows = form("x?delimiter=tab&quote='&comment=%23&null=NA&max_line=2MiB", Format::Csv);
        let rows = rows.unwrap();
        assert_eq!((rows.dialect.delimiter, rows.dialect.quote), (b'\t', Some(b'\'')));
        assert_eq!((rows.dialect.comment, rows.dialect.null.as_str()), (Some(b'#'), "NA"));
        assert_eq!(rows.span, 2 << 20);
        assert_eq!(form("x", Format::Csv).unwrap(), Rows::default());
        assert_eq!(form("x?quote=", Format::Csv).unwrap().dialect.quote, None);
        let wrong = form("x?delimiter=ab", Format::Csv).unwrap_err();
        assert!(wrong.contains("`delimiter=ab`: expected one ASCII character"), "{wrong}");
        let wrong = form("x?delimiter=%22", Format::Csv).unwrap_err();
        assert!(wrong.contains("`delimiter` and `quote` must be different"), "{wrong}");
        let wrong = form("x?null=NA", Format::Json).unwrap_err();
        assert!(wrong.contains("`null` is an option of CSV"), "{wrong}");
    }
}
