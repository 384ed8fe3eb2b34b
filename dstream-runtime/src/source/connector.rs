//! The sources of a binary: a row for each scheme.
//!
//! Decides which connector a URL is of, and checks its options by the rows of the connector, of the format of the
//! records, and of all sources. What is built in stands in [`BUILT_IN`]; a program adds its own
//! (`dstream::main!(job; sources = […])`).

use std::sync::LazyLock;

use super::receive::{Deliver, Receiver};
use super::{
    Batching, OpenOptions, OpenSplits, Reread, Source, SourceError, batching, file, generate,
    receive, splits, tcp,
};
use crate::connect::{Allowed, ConnectorUrl, OptionRow, declared_once, is_scheme, row_of, unknown};
use crate::record::Format;

/// The connectors of this crate.
static BUILT_IN: [SourceConnector; 4] =
    [file::CONNECTOR, tcp::CONNECTOR, receive::HTTP, generate::CONNECTOR];

/// A kind of source: what its URLs say, and how it is opened.
///
/// A program declares one of its own as a constant, and names it in `dstream::main!(job; sources = [SOURCE])`:
///
/// ```ignore
/// const SOURCE: SourceConnector =
///     SourceConnector::new("readings", &["readings://DIR"], "readings of sensors, in binary files", open)
///         .formats(&[Format::Csv])
///         .options(&[OptionRow::count("width", 1, "The length of a record, in bytes").or("16")]);
///
/// fn open(url: &ConnectorUrl, format: Format) -> Result<Box<dyn SplitSource>, SourceError> {
///     Ok(Box::new(Readings { dir: url.path().to_owned(), width: url.count("width")? }))
/// }
/// ```
///
/// Its URLs have the options that are declared here, those of the format of the records, `batch_records`, and those
/// that every source has.
#[derive(Debug, Clone, Copy)]
pub struct SourceConnector {
    pub(crate) scheme: &'static str,
    /// How its URLs are written, the usual way first.
    pub(crate) urls: &'static [&'static str],
    pub(crate) about: &'static str,
    pub(crate) ends: Ends,
    pub(crate) formats: &'static [Format],
    pub(crate) options: &'static [OptionRow],
    /// Options of formats that it does not have.
    pub(crate) lacks: &'static [&'static str],
    pub(crate) opener: Opener,
}

/// Whether a source comes to an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ends {
    /// It is live.
    Never,
    /// It does, depending on its options: how.
    If(&'static str),
}

impl Ends {
    /// For people.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Never => "never ends",
            Self::If(how) => how,
        }
    }
}

type OpenSource = fn(&ConnectorUrl, Format, &OpenOptions) -> Result<Box<dyn Source>, SourceError>;
type OpenReread = fn(&ConnectorUrl, Format, &OpenOptions) -> Result<Box<dyn Reread>, SourceError>;
type OpenReceiver =
    fn(&ConnectorUrl, Format, &OpenOptions, Deliver) -> Result<Receiver, SourceError>;

/// How a source is opened.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Opener {
    /// The master cuts it into ranges, and workers read them again where the data lies.
    Ranges { open: OpenSource, reread: OpenReread },
    /// Clients push its records: to this process, or to workers.
    Pushed { open: OpenSource, receive: OpenReceiver },
    /// The program's own, read by ranges of numbers.
    Splits(OpenSplits),
}

impl Opener {
    /// For people: how the data reaches tasks.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Ranges { .. } | Self::Splits(_) => "read again from where it lies",
            Self::Pushed { .. } => "received by workers, which keep copies",
        }
    }
}

impl SourceConnector {
    /// A source of a program's own that gives records as text and ends. `urls` are forms of its URLs for people, the
    /// usual one first; `about` says in one line what it reads.
    #[must_use]
    pub const fn new(
        scheme: &'static str,
        urls: &'static [&'static str],
        about: &'static str,
        open: OpenSplits,
    ) -> Self {
        Self {
            scheme,
            urls,
            about,
            ends: Ends::If("ends"),
            formats: &[Format::Text],
            options: &[],
            // Its rows have no positions of their own for a header: it says the names itself.
            lacks: &["header"],
            opener: Opener::Splits(open),
        }
    }

    /// The formats that its records can have.
    #[must_use]
    pub const fn formats(self, formats: &'static [Format]) -> Self {
        Self { formats, ..self }
    }

    /// Its own options.
    #[must_use]
    pub const fn options(self, options: &'static [OptionRow]) -> Self {
        Self { options, ..self }
    }

    /// On what it depends whether it ends, for people: `ends, unless \`follow\``.
    #[must_use]
    pub const fn ends(self, how: &'static str) -> Self {
        Self { ends: Ends::If(how), ..self }
    }

    /// It never ends.
    #[must_use]
    pub const fn live(self) -> Self {
        Self { ends: Ends::Never, ..self }
    }

    /// The options that it has, whatever the format.
    pub(crate) fn own_options(&self) -> impl Iterator<Item = &'static OptionRow> {
        let splits = match self.opener {
            Opener::Splits(_) => &splits::OPTIONS[..],
            _ => &[],
        };
        self.options.iter().chain(splits)
    }

    /// The options that its URLs have where records have this format.
    pub(crate) fn options_of(&self, format: Format) -> Vec<&'static OptionRow> {
        let of_format = row_of(format).reads.iter().filter(|row| !self.lacks.contains(&row.name));
        let batching = if self.ends == Ends::Never { &[][..] } else { &batching::OPTIONS };
        let own = self.own_options().chain(batching);
        own.chain(of_format).chain(&super::POLICY_OPTIONS).collect()
    }

    /// Checks the options of a URL of this connector.
    fn check(&self, url: &mut ConnectorUrl, format: Format) -> Result<(), SourceError> {
        if !self.formats.contains(&format) {
            let known: Vec<_> = self.formats.iter().map(|of| row_of(*of).title).collect();
            let (scheme, title, known) = (self.scheme, row_of(format).title, known.join(" or "));
            let why = format!(
                "a `{scheme}` source gives records as {known}, and the program reads {title}"
            );
            return Err(url.fail(why).into());
        }
        let connector = format!("a `{}` source", self.scheme);
        let rows = self.options_of(format);
        Ok(url.check(Allowed { connector: &connector, rows, format: Some(format) })?)
    }
}

/// The sources that a binary has.
#[derive(Debug, Clone)]
pub struct Sources(Vec<SourceConnector>);

impl Sources {
    /// Those of this crate.
    #[must_use]
    pub fn built_in() -> &'static Self {
        static ALL: LazyLock<Sources> = LazyLock::new(|| Sources(BUILT_IN.to_vec()));
        &ALL
    }

    /// These, and a program's own.
    ///
    /// # Errors
    /// When two have the same scheme, or what a connector declares cannot be.
    pub(crate) fn with(&self, own: &[SourceConnector]) -> Result<Self, String> {
        let mut all = self.0.clone();
        for row in own {
            let wrong = |why: &str| format!("the source `{}`: {why}", row.scheme);
            if !is_scheme(row.scheme) || row.scheme.contains('+') {
                return Err(wrong(
                    "a scheme is made of lower-case letters, digits, `-`, `.` and `_`",
                ));
            }
            if all.iter().any(|other| other.scheme == row.scheme) {
                return Err(wrong(
                    "there is a source with this scheme already; give it another one",
                ));
            }
            if row.formats.is_empty() {
                return Err(wrong("it has no format"));
            }
            for format in row.formats {
                declared_once(&row.options_of(*format)).map_err(|why| wrong(&why))?;
            }
            all.push(*row);
        }
        Ok(Self(all))
    }

    /// Every connector, in the order in which they are shown.
    pub(crate) fn rows(&self) -> &[SourceConnector] {
        &self.0
    }

    /// The connector of a URL, and the URL taken apart; its options are not checked yet.
    fn of(&self, url: &str) -> Result<(&SourceConnector, ConnectorUrl), SourceError> {
        let url = ConnectorUrl::source(url)?;
        let find = |scheme: &str| self.0.iter().find(|row| row.scheme == scheme);
        if let Some((scheme, rest)) = url.without_slashes().filter(|(word, _)| find(word).is_some())
        {
            return Err(url.fail(format!("write `{scheme}://{rest}`")).into());
        }
        match find(url.scheme()) {
            Some(row) => Ok((row, url)),
            None => {
                let known: Vec<_> = self.0.iter().map(|row| row.scheme).collect();
                Err(url.fail(unknown("scheme", url.scheme(), "known", &known)).into())
            }
        }
    }

    /// Checks a URL and its options; opens nothing.
    ///
    /// # Errors
    /// When the scheme or an option is unknown or malformed.
    pub fn check(&self, url: &str, format: Format) -> Result<(), SourceError> {
        let (row, mut url) = self.of(url)?;
        row.check(&mut url, format)
    }

    /// The URL, taken apart, with its options checked.
    #[cfg(test)]
    pub(super) fn checked(&self, url: &str, format: Format) -> Result<ConnectorUrl, SourceError> {
        let (row, mut url) = self.of(url)?;
        row.check(&mut url, format)?;
        Ok(url)
    }

    /// Opens the source that `url` names; its records have the given format.
    ///
    /// # Errors
    /// When the scheme or an option is unknown or malformed, or what it names cannot be opened.
    pub fn open(
        &self,
        url: &str,
        format: Format,
        options: &OpenOptions,
    ) -> Result<Box<dyn Source>, SourceError> {
        let (row, mut url) = self.of(url)?;
        row.check(&mut url, format)?;
        let source = match row.opener {
            Opener::Ranges { open, .. } | Opener::Pushed { open, .. } => {
                open(&url, format, options)
            }
            Opener::Splits(open) => splits::open(open, &url, format, options),
        }?;
        if !source.bounded() && batching::of(&url)? != Batching::default() {
            return Err(url
                .fail(
                    "`windows=batches` and `join=batch` are for a source that is read to its end; a batch of \
                     this one is what its interval brings",
                )
                .into());
        }
        Ok(source)
    }

    /// What a worker opens instead of the source that `url` names: it lists nothing, listens nowhere and touches no
    /// disk before an input is asked for.
    ///
    /// # Errors
    /// When the scheme or an option is unknown or malformed, or records of this scheme are pushed, so that no range
    /// can bring them back.
    pub fn reread(
        &self,
        url: &str,
        format: Format,
        options: &OpenOptions,
    ) -> Result<Box<dyn Reread>, SourceError> {
        let (row, mut url) = self.of(url)?;
        match row.opener {
            Opener::Ranges { reread, .. } => {
                row.check(&mut url, format)?;
                reread(&url, format, options)
            }
            Opener::Splits(open) => {
                row.check(&mut url, format)?;
                Ok(splits::reread(open, &url, format))
            }
            Opener::Pushed { .. } => Err(url
                .fail(
                    "what clients send is there once and cannot be read again by its range: it is carried to \
                     where it is needed",
                )
                .into()),
        }
    }

    /// Listens where `url` says; `deliver` is given what comes.
    pub(super) fn receive(
        &self,
        url: &str,
        format: Format,
        options: &OpenOptions,
        deliver: Deliver,
    ) -> Result<Receiver, SourceError> {
        let (row, mut url) = self.of(url)?;
        match row.opener {
            Opener::Pushed { receive, .. } => {
                row.check(&mut url, format)?;
                receive(&url, format, options, deliver)
            }
            _ => Err(self.not_pushed(&url)),
        }
    }

    /// The URL of a source whose records are pushed.
    pub(super) fn pushed(&self, url: &str) -> Result<ConnectorUrl, SourceError> {
        let url = ConnectorUrl::source(url)?;
        if self.is_pushed(&url) { Ok(url) } else { Err(self.not_pushed(&url)) }
    }

    /// Whether the records of a URL are pushed.
    pub(super) fn is_pushed(&self, url: &ConnectorUrl) -> bool {
        self.pushes().any(|scheme| scheme == url.scheme())
    }

    fn pushes(&self) -> impl Iterator<Item = &'static str> {
        let pushed = |row: &&SourceConnector| matches!(row.opener, Opener::Pushed { .. });
        self.0.iter().filter(pushed).map(|row| row.scheme)
    }

    fn not_pushed(&self, url: &ConnectorUrl) -> SourceError {
        let known: Vec<_> = self.pushes().collect();
        url.fail(unknown("scheme of a receiver", url.scheme(), "known", &known)).into()
    }
}

/// Options that several sources have, whatever the format: what the sources are, a name for programs, the options.
pub(crate) fn shared_options() -> [(&'static str, &'static str, &'static [OptionRow]); 2] {
    [
        ("Options of all sources", "all", &super::POLICY_OPTIONS),
        ("Options of sources that end", "bounded", &batching::OPTIONS),
    ]
}

/// Every format.
pub(super) const ALL_FORMATS: &[Format] = &[Format::Text, Format::Csv, Format::Json];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connect::{Kind, Preset};

    /// A value that an option may have.
    fn sample(row: &OptionRow) -> String {
        match (row.preset, row.kind) {
            (Preset::Is(value), _) => value.to_owned(),
            (_, Kind::Choice(words)) => words[0].to_owned(),
            (_, Kind::Flag) => "false".to_owned(),
            (_, Kind::Time) => "1s".to_owned(),
            (_, Kind::Text { .. }) => "%23".to_owned(),
            (_, Kind::Count { least, .. } | Kind::Size { least }) => least.max(64).to_string(),
        }
    }

    #[test]
    fn every_option_is_declared_once_and_its_preset_is_a_value() {
        for row in Sources::built_in().rows() {
            for format in row.formats {
                let options = row.options_of(*format);
                for (at, option) in options.iter().enumerate() {
                    let (scheme, name) = (row.scheme, option.name);
                    assert!(
                        options[..at].iter().all(|other| other.name != name),
                        "{scheme} {name}"
                    );
                    assert!(!option.about.is_empty() && !option.about.ends_with('.'), "{name}");
                    let mut url =
                        ConnectorUrl::source(&format!("x?{name}={}", sample(option))).unwrap();
                    row.check(&mut url, *format).unwrap();
                }
            }
        }
    }

    /// Whatever a row declares is taken by what it opens, and nothing is read that no row declares.
    #[test]
    fn what_rows_declare_can_be_opened() {
        let place = |scheme: &str| match scheme {
            "generate" => "generate://words",
            _ => "file:///no/such/file",
        };
        let options = OpenOptions::default();
        for row in Sources::built_in().rows() {
            let Opener::Ranges { .. } = row.opener else { continue };
            for format in row.formats {
                for option in row.options_of(*format) {
                    let url = format!("{}?{}={}", place(row.scheme), option.name, sample(option));
                    if let Err(error) = Sources::built_in().reread(&url, *format, &options) {
                        let why = error.to_string();
                        assert!(!why.contains("declare"), "{why}");
                    }
                }
            }
        }
    }
}
