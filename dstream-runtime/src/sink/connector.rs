//! The outputs of a binary: a row for each scheme.
//!
//! Decides which connector a URL is of (`FORMAT+SCHEME://PLACE`, or `SCHEME:`), and checks its options by the rows of
//! the connector and of the format. What is built in stands in [`BUILT_IN`].

use std::path::PathBuf;
use std::sync::LazyLock;

use super::{Earlier, FUNCTION, Options, PRINT, Sink, SinkError, files, is_open, stdout};
use crate::connect::{
    self, Allowed, ConnectorUrl, FLOATS, FORMATS, OptionRow, WRITTEN_DIALECT, declared_once,
    is_scheme, nearest, row_of,
};
use crate::record::{Dialect, Floats, Format};

/// The connectors of this crate.
static BUILT_IN: [SinkConnector; 3] = [files::CONNECTOR, stdout::CONNECTOR, stdout::NONE];

/// A kind of output: what its URLs say, and how it is opened.
///
/// A program declares one of its own as a constant, and names it in `dstream::main!(job; sinks = [SINK])`:
///
/// ```ignore
/// const SINK: SinkConnector =
///     SinkConnector::new("latest", "//FILE", "a file that holds the latest batch", open)
///         .formats(&[Format::Csv, Format::Json]);
///
/// fn open(url: &ConnectorUrl, context: &SinkContext<'_>) -> Result<Box<dyn Sink>, SinkError> {
///     Ok(Box::new(Latest { file: url.path().to_owned(), format: context.format }))
/// }
/// ```
///
/// Its URLs begin with the format, `csv+latest://FILE`, and have the options that are declared here and those of the
/// format. On a cluster, outputs are opened and published by the master.
#[derive(Debug, Clone, Copy)]
pub struct SinkConnector {
    pub(crate) scheme: &'static str,
    /// What follows `SCHEME:`: `//DIR`; empty if nothing does.
    pub(crate) place: &'static str,
    pub(crate) about: &'static str,
    /// What it writes; nothing of one that only counts.
    pub(crate) formats: &'static [Format],
    /// The format of a URL that names none.
    pub(crate) bare: Option<Format>,
    pub(crate) options: &'static [OptionRow],
    pub(crate) open: OpenSink,
    pub(crate) kept: Option<Kept>,
}

/// What an output is opened for.
#[derive(Debug, Clone, Copy)]
pub struct SinkContext<'a> {
    /// How its parts are to be encoded: one of the formats of its connector; none if that has none.
    pub format: Option<Format>,
    /// Its name in the job.
    pub output: &'a str,
    /// The job.
    pub job: &'a str,
}

/// How an output is opened.
pub type OpenSink = fn(&ConnectorUrl, &SinkContext<'_>) -> Result<Box<dyn Sink>, SinkError>;

/// What an output that keeps what it is given can tell and do about earlier runs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kept {
    /// The newest batch that this output of this job has published there.
    pub(crate) newest: fn(&ConnectorUrl, &SinkContext<'_>) -> Result<Option<Earlier>, SinkError>,
    /// The directory that it writes into.
    pub(crate) place: fn(&ConnectorUrl) -> PathBuf,
    /// Takes away what this output of this job has published there; how many batches.
    pub(crate) remove: fn(&ConnectorUrl, &SinkContext<'_>) -> Result<u64, SinkError>,
}

impl SinkConnector {
    /// An output of a program's own that writes text. `place` is what follows `SCHEME:`, for people: `//FILE`, or
    /// nothing; `about` says in one line where it writes.
    #[must_use]
    pub const fn new(
        scheme: &'static str,
        place: &'static str,
        about: &'static str,
        open: OpenSink,
    ) -> Self {
        let formats = &[Format::Text];
        Self { scheme, place, about, formats, bare: None, options: &[], open, kept: None }
    }

    /// What it can write; with none, records are only counted, and its URLs name no format.
    #[must_use]
    pub const fn formats(self, formats: &'static [Format]) -> Self {
        Self { formats, ..self }
    }

    /// What a URL without a format writes: `SCHEME:…`.
    #[must_use]
    pub const fn bare(self, format: Format) -> Self {
        Self { bare: Some(format), ..self }
    }

    /// Its own options.
    #[must_use]
    pub const fn options(self, options: &'static [OptionRow]) -> Self {
        Self { options, ..self }
    }

    /// The options that its URLs have where records are written in this format.
    pub(crate) fn options_of(&self, format: Option<Format>) -> Vec<&'static OptionRow> {
        let of_format = format.map_or(&[][..], |format| row_of(format).writes);
        of_format.iter().chain(self.options).collect()
    }

    /// The formats that its URLs name; of one that writes nothing, none.
    pub(crate) fn written(&self) -> Vec<Option<Format>> {
        match self.formats {
            [] => vec![None],
            formats => formats.iter().copied().map(Some).collect(),
        }
    }

    /// How its URLs are written, each with what stands before the colon.
    pub(crate) fn urls(&self) -> impl Iterator<Item = (String, String)> {
        let prefixed =
            self.formats.iter().map(|format| format!("{}+{}", row_of(*format).name, self.scheme));
        let bare = self.bare.is_some() || self.formats.is_empty();
        let all = prefixed.chain(bare.then(|| self.scheme.to_owned()));
        let place = self.place;
        all.map(move |scheme| (format!("{scheme}:{place}"), scheme))
    }
}

/// A URL of an output whose options were checked.
struct Checked<'s> {
    row: &'s SinkConnector,
    format: Option<Format>,
    url: ConnectorUrl,
}

/// The outputs that a binary has.
#[derive(Debug, Clone)]
pub struct Sinks(Vec<SinkConnector>);

impl Sinks {
    /// Those of this crate.
    #[must_use]
    pub fn built_in() -> &'static Self {
        static ALL: LazyLock<Sinks> = LazyLock::new(|| Sinks(BUILT_IN.to_vec()));
        &ALL
    }

    /// These, and a program's own.
    ///
    /// # Errors
    /// When two have the same scheme, or what a connector declares cannot be.
    pub(crate) fn with(&self, own: &[SinkConnector]) -> Result<Self, String> {
        let mut all = self.0.clone();
        for row in own {
            let wrong = |why: &str| format!("the output `{}`: {why}", row.scheme);
            if !is_scheme(row.scheme) || row.scheme.contains('+') || row.scheme == "print" {
                return Err(wrong(
                    "a scheme is made of lower-case letters, digits, `-`, `.` and `_`",
                ));
            }
            if all.iter().any(|other| other.scheme == row.scheme) {
                return Err(wrong(
                    "there is an output with this scheme already; give it another one",
                ));
            }
            if !row.place.is_empty() && !row.place.starts_with("//") {
                return Err(wrong("what follows the scheme begins with `//`, or is nothing"));
            }
            if row.bare.is_some_and(|format| !row.formats.contains(&format)) {
                return Err(wrong("the format of a URL without one is none of its formats"));
            }
            for format in row.written() {
                declared_once(&row.options_of(format)).map_err(|why| wrong(&why))?;
            }
            all.push(*row);
        }
        Ok(Self(all))
    }

    /// Every connector, in the order in which they are shown.
    pub(crate) fn rows(&self) -> &[SinkConnector] {
        &self.0
    }

    /// The connector and the format that stand before the colon of a URL.
    fn find(&self, scheme: &str) -> Option<(&SinkConnector, Option<Format>)> {
        let (format, scheme) = match scheme.split_once('+') {
            Some((name, rest)) => {
                let format = FORMATS.iter().find(|row| row.name == name)?.format;
                (Some(format), rest)
            }
            None => (None, scheme),
        };
        let row = self.0.iter().find(|row| row.scheme == scheme)?;
        match format {
            Some(format) => row.formats.contains(&format).then_some((row, Some(format))),
            None => (row.bare.is_some() || row.formats.is_empty()).then_some((row, row.bare)),
        }
    }

    /// Takes a URL apart.
    fn of(&self, url: &str) -> Result<Checked<'_>, SinkError> {
        let mut url = ConnectorUrl::sink(url)?;
        let Some((row, format)) = self.find(url.scheme()) else { return Err(self.unknown(&url)) };
        let (scheme, place) = (url.scheme(), url.place());
        match row.place {
            "" if url.has_slashes() || !place.is_empty() => {
                let why = format!("nothing follows `{scheme}:`, but `{place}` does");
                return Err(url.fail(why).into());
            }
            shown if !shown.is_empty() && (!url.has_slashes() || place.is_empty()) => {
                return Err(url.fail(format!("expected `{scheme}:{shown}`")).into());
            }
            _ => {}
        }
        let connector = format!("a `{}` output", row.scheme);
        let rows = row.options_of(format);
        url.check(Allowed { connector: &connector, rows, format })?;
        written_dialect(&url)?;
        Ok(Checked { row, format, url })
    }

    fn unknown(&self, url: &ConnectorUrl) -> SinkError {
        let (shown, known): (Vec<_>, Vec<_>) = self.0.iter().flat_map(SinkConnector::urls).unzip();
        let given = url.scheme();
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        // A part of a name, such as the scheme without a format, is meant more likely than another name.
        let part = known.iter().position(|name| name.split('+').any(|part| part == given));
        let near = || nearest(given, &known).and_then(|near| known.iter().position(|n| *n == near));
        let meant = part.or_else(near).map(|near| format!("; did you mean `{}`?", shown[near]));
        let meant = meant.unwrap_or_default();
        let list: Vec<String> = shown.iter().map(|url| format!("`{url}`")).collect();
        url.fail(format!("unknown output `{given}`{meant} (known: {})", list.join(", "))).into()
    }

    /// Opens the output `name`.
    ///
    /// # Errors
    /// When the URL is malformed, or what it names cannot be written.
    pub fn open(
        &self,
        url: &str,
        name: &str,
        options: &Options,
    ) -> Result<Box<dyn Sink>, SinkError> {
        if url == PRINT {
            is_open()?;
            return Ok(Box::new(stdout::StreamSink::print(name)));
        }
        let Checked { row, format, url } = self.of(url)?;
        (row.open)(&url, &SinkContext { format, output: name, job: &options.job })
    }

    /// Takes away what the output `name` of the job has published at a URL before; how many batches that were.
    ///
    /// # Errors
    /// When the URL is malformed, something else lies among it, or it cannot be removed.
    pub fn remove_earlier(
        &self,
        url: &str,
        name: &str,
        options: &Options,
    ) -> Result<u64, SinkError> {
        if is_of_program(url) {
            return Ok(0);
        }
        let Checked { row, format, url } = self.of(url)?;
        let context = SinkContext { format, output: name, job: &options.job };
        row.kept.map_or(Ok(0), |kept| (kept.remove)(&url, &context))
    }

    /// The directory that an output writes into, if it does: the same path whatever the URL calls it. Nothing is made.
    ///
    /// # Errors
    /// When the URL is malformed.
    pub fn place(&self, url: &str) -> Result<Option<PathBuf>, SinkError> {
        if is_of_program(url) {
            return Ok(None);
        }
        let Checked { row, url, .. } = self.of(url)?;
        Ok(row.kept.map(|kept| (kept.place)(&url)))
    }

    /// The newest batch that the output `name` of the job has published at a URL, if it keeps what it is given.
    ///
    /// # Errors
    /// When the URL is malformed, or that cannot be seen.
    pub fn newest(
        &self,
        url: &str,
        name: &str,
        options: &Options,
    ) -> Result<Option<Earlier>, SinkError> {
        if is_of_program(url) {
            return Ok(None);
        }
        let Checked { row, format, url } = self.of(url)?;
        let context = SinkContext { format, output: name, job: &options.job };
        row.kept.map_or(Ok(None), |kept| (kept.newest)(&url, &context))
    }

    /// Reads a URL, and opens nothing.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn read(&self, url: &str) -> Result<(ConnectorUrl, Option<Format>), SinkError> {
        self.of(url).map(|Checked { url, format, .. }| (url, format))
    }
}

/// Whether an output is no connector's, and keeps nothing that can be looked at: `print` and `foreach_batch`.
fn is_of_program(url: &str) -> bool {
    url == PRINT || url == FUNCTION
}

/// What the URL of an output says about floats that JSON has no numbers for. One that is malformed says nothing:
/// the error comes when it is opened.
#[must_use]
pub fn floats(url: &str) -> Option<Floats> {
    let url = ConnectorUrl::sink(url).ok()?;
    connect::floats(url.word_of(&FLOATS).ok()?)
}

/// How the URL of an output has its CSV written. One that is malformed says nothing: the error comes when it is
/// opened.
#[must_use]
pub fn dialect(url: &str) -> Dialect {
    ConnectorUrl::sink(url).and_then(|url| written_dialect(&url)).unwrap_or_default()
}

fn written_dialect(url: &ConnectorUrl) -> Result<Dialect, connect::UrlError> {
    let mut dialect = Dialect::default();
    for row in &WRITTEN_DIALECT {
        if let Some(value) = url.text_of(row)? {
            let set = dialect.set(row.name, &value);
            set.map_err(|why| url.fail(format!("`{}={value}`: {why}", row.name)))?;
        }
    }
    dialect.check().map_err(|why| url.fail(why))?;
    Ok(dialect)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Result<(ConnectorUrl, Option<Format>), String> {
        Sinks::built_in().read(url).map_err(|error| error.to_string())
    }

    #[test]
    fn directories_are_relative_or_absolute() {
        let dir = |url: &str| {
            let (url, format) = read(url).unwrap();
            (url.place().to_owned(), format, url.flag("fsync").unwrap())
        };
        assert_eq!(dir("csv+file://out/x"), ("out/x".to_owned(), Some(Format::Csv), true));
        assert_eq!(dir("json+file:///srv/x"), ("/srv/x".to_owned(), Some(Format::Json), true));
        assert_eq!(dir("text+file://x?fsync=false"), ("x".to_owned(), Some(Format::Text), false));
        let (url, _) = read("csv+file:///x?header=false&empty=publish").unwrap();
        assert_eq!((url.flag("header"), url.choice("empty")), (Ok(false), Ok("publish")));
        let error = read("json+file://x?empty").unwrap_err();
        assert!(error.contains("`publish` or `skip`"), "{error}");
    }

    #[test]
    fn the_rest_has_no_directory() {
        assert_eq!(read("stdout:").unwrap().1, Some(Format::Text));
        assert_eq!(read("csv+stdout:").unwrap().0.flag("header"), Ok(true));
        assert_eq!(read("none:").unwrap().1, None);
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
        assert!(error.contains("`floats=null`: expected `string` or `refuse`"), "{error}");
        let error = read("csv+file://x?floats=string").unwrap_err();
        assert!(error.contains("`floats` is an option of JSON"), "{error}");
    }

    #[test]
    fn csv_has_dialects() {
        let url = "csv+file://x?delimiter=%3B&quote='&null=NA&header=false";
        assert!(read(url).is_ok());
        let is = dialect(url);
        assert_eq!((is.delimiter, is.quote, is.null.as_str()), (b';', Some(b'\''), "NA"));
        assert_eq!(dialect("csv+stdout:"), Dialect::default());
        let wrong = |url: &str| read(url).unwrap_err();
        assert!(wrong("csv+stdout:?delimiter=ab").contains("expected one ASCII character"));
        assert!(wrong("csv+stdout:?delimiter=%22").contains("must be different"));
        assert!(wrong("csv+stdout:?quote=").contains("needs quotes"));
        assert!(wrong("csv+stdout:?delimeter=;").contains("did you mean `delimiter`?"));
        assert!(wrong("json+file://x?delimiter=;").contains("`delimiter` is an option of CSV"));
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
        for url in [
            "out",
            "csv+file:out",
            "csv+file://",
            "none:?x=1",
            "json+file://x?header=true",
            "csv+none:",
        ] {
            assert!(read(url).is_err(), "{url}");
        }
        assert!(read("csv+file:out").unwrap_err().contains("expected `csv+file://DIR`"));
        assert!(read("csv+file://x?fsync=no").unwrap_err().contains("`true` or `false`"));
    }
}
