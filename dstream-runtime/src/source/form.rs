//! How a split is read from its beginning: a byte order mark that is dropped, a header row, and then records.
//!
//! Decides whether the first row is a header, and whether it names what the records need: one that does not is
//! one error, before any row is read.

use std::sync::Arc;

use super::decode::{missing_columns, names};
use super::framing::{Framing, Outer, Rows, SPAN};
use super::{OpenOptions, SourceError};
use crate::connect::{ConnectorUrl, DIALECT};
use crate::record::{Dialect, Format, Schema, column_names};

/// What an editor may write before the first character of a text.
pub(super) const MARK: &[u8] = b"\xef\xbb\xbf";

/// A header row is no longer than this.
pub(super) const MAX_HEADER: u64 = 1 << 20;

/// How the splits of a source are read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Form {
    pub(super) framing: Framing,
    pub(super) header: HeaderRow,
    /// Of JSON, which may be an array of records or go on over lines, what tells so.
    pub(super) json: Option<Outer>,
    /// What the records are; of a source without one nothing is checked.
    pub(super) schema: Option<Schema>,
}

/// Whether the first row is a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HeaderRow {
    /// It is a record.
    No,
    /// It is.
    Yes,
    /// It is if it is exactly the names of the record's columns, as our own output has them.
    IfNamed,
}

impl Form {
    /// What the URL says, whose options were checked.
    pub(super) fn of(
        url: &ConnectorUrl,
        format: Format,
        options: &OpenOptions,
    ) -> Result<Self, SourceError> {
        let schema = options.schema;
        if format != Format::Csv {
            let json = (format == Format::Json).then(|| Outer::of(schema.as_ref()));
            return Ok(Self { framing: Framing::of(format), header: HeaderRow::No, json, schema });
        }
        let header = match url.if_given("header", ConnectorUrl::flag)? {
            Some(true) => HeaderRow::Yes,
            Some(false) => HeaderRow::No,
            None if options.header_default => HeaderRow::Yes,
            None if schema.is_some() => HeaderRow::IfNamed,
            None => HeaderRow::No,
        };
        Ok(Self { framing: Framing::Csv(rows(url)?), header, json: None, schema })
    }

    /// Whether the first row has to be looked at.
    pub(super) fn looks_at_first(&self) -> bool {
        self.header != HeaderRow::No
    }

    /// The header row, without its line end; `None` if it is a record.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn header(&self, row: &[u8]) -> Result<Option<Arc<str>>, String> {
        let row = row.strip_prefix(MARK).unwrap_or(row);
        let row = row.strip_suffix(b"\n").unwrap_or(row);
        let row = row.strip_suffix(b"\r").unwrap_or(row);
        let text = std::str::from_utf8(row);
        match self.header {
            HeaderRow::No => return Ok(None),
            HeaderRow::IfNamed => {
                let is_header = text.is_ok_and(|text| self.is_named(text));
                return Ok(text.ok().filter(|_| is_header).map(Into::into));
            }
            HeaderRow::Yes => {}
        }
        let text = text.map_err(|_| "the header row is not UTF-8")?;
        let columns = names(text, self.framing.rows()).map_err(|why| match why {
            super::decode::LONE_CR => format!("the header row {why}"),
            why => format!("the header row {why}: {text:?}"),
        })?;
        match self.schema.as_ref().and_then(|schema| missing_columns(schema, &columns)) {
            Some(missing) => Err(format!("the header row {missing}")),
            None => Ok(Some(text.into())),
        }
    }

    /// Whether each line is a record as it stands.
    pub(super) fn is_text(&self) -> bool {
        self.json.is_none() && self.framing == Framing::Lines
    }

    fn is_named(&self, text: &str) -> bool {
        let wanted = self.schema.as_ref().map(column_names);
        wanted.is_some_and(|wanted| names(text, self.framing.rows()).is_ok_and(|is| is == wanted))
    }
}

/// How rows are written, as the URL says.
pub(super) fn rows(url: &ConnectorUrl) -> Result<Rows, SourceError> {
    let span = url.if_given("max_line", ConnectorUrl::size)?.unwrap_or(SPAN);
    Ok(Rows { dialect: dialect(url)?, span })
}

fn dialect(url: &ConnectorUrl) -> Result<Dialect, SourceError> {
    let mut dialect = Dialect::default();
    for row in &DIALECT {
        if let Some(value) = url.text_of(row)? {
            let set = dialect.set(row.name, &value);
            set.map_err(|why| url.fail(format!("`{}={value}`: {why}", row.name)))?;
        }
    }
    dialect.check().map_err(|why| url.fail(why))?;
    Ok(dialect)
}

/// How many of the first bytes of a split are a mark.
pub(super) fn mark_len(bytes: &[u8]) -> usize {
    if bytes.starts_with(MARK) { MARK.len() } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Record;
    use crate::source::Sources;

    fn form(header: HeaderRow, schema: Schema) -> Form {
        let (framing, json) = (Framing::of(Format::Csv), None);
        Form { framing, header, json, schema: Some(schema) }
    }

    fn of(url: &str, format: Format, options: &OpenOptions) -> Result<Form, String> {
        let checked = Sources::built_in().checked(url, format);
        let form = checked.and_then(|url| Form::of(&url, format, options));
        form.map_err(|error| error.to_string())
    }

    #[test]
    fn only_csv_has_headers() {
        let options = OpenOptions::default();
        assert_eq!(of("x?header=true", Format::Csv, &options).unwrap().header, HeaderRow::Yes);
        assert!(of("x?header=true", Format::Json, &options).is_err());
        let header = |url: &str, schema, header_default| {
            let options = OpenOptions { schema, header_default, ..OpenOptions::default() };
            of(url, Format::Csv, &options).unwrap().header
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
            of(url, format, &OpenOptions::default()).map(|form| form.framing.rows())
        };
        let rows = form("x?delimiter=tab&quote='&comment=%23&null=NA&max_line=2MiB", Format::Csv);
        let rows = rows.unwrap();
        assert_eq!((rows.dialect.delimiter, rows.dialect.quote), (b'\t', Some(b'\'')));
        assert_eq!((rows.dialect.comment, rows.dialect.null.as_str()), (Some(b'#'), "NA"));
        assert_eq!(rows.span, 2 << 20);
        assert_eq!(form("x", Format::Csv).unwrap(), Rows::default());
        assert_eq!(form("x?quote=", Format::Csv).unwrap().dialect.quote, None);
        let semicolons = form("x?delimiter=;&null=a,b", Format::Csv).unwrap();
        assert_eq!(semicolons.dialect.null.as_str(), "a,b");
        let wrong = form("x?null=a,b", Format::Csv).unwrap_err();
        assert!(wrong.contains("`null=a,b`: expected a text of at most"), "{wrong}");
        let wrong = form("x?delimiter=ab", Format::Csv).unwrap_err();
        assert!(wrong.contains("`delimiter=ab`: expected one ASCII character"), "{wrong}");
        let wrong = form("x?delimiter=%22", Format::Csv).unwrap_err();
        assert!(wrong.contains("`delimiter` and `quote` must be different"), "{wrong}");
        let wrong = form("x?null=NA", Format::Json).unwrap_err();
        assert!(wrong.contains("`null` is an option of CSV"), "{wrong}");
        let wrong = form("x?floats=string", Format::Csv).unwrap_err();
        assert!(wrong.contains("`floats` is an option of JSON"), "{wrong}");
    }

    const PAIR: Schema = <(String, u64)>::SCHEMA;
    const VIEW: Schema = Schema::Struct {
        name: "View",
        fields: &[
            crate::record::Field::new("url", Schema::Scalar("str")),
            crate::record::Field::new("user", Schema::Scalar("u64")),
            crate::record::Field::new("note", Schema::Option(&Schema::Scalar("str"))),
        ],
    };

    #[test]
    fn a_header_names_what_the_records_need() {
        let form = form(HeaderRow::Yes, VIEW);
        let good = form.header(b"\xef\xbb\xbfuser,\"url\"\r\n").unwrap().unwrap();
        assert_eq!(&*good, "user,\"url\"");
        let why = form.header(b"usr,host\n").unwrap_err();
        let expected = "the header row has no columns `url`, `user` (did you mean `usr`?); it has `usr`, `host`";
        assert_eq!(why, expected);
        let why = form.header(b"").unwrap_err();
        assert!(why.contains("has no columns `url`, `user`; it has none"), "{why}");
        assert!(form.header(b"url,\xff\n").unwrap_err().contains("UTF-8"));
        assert!(form.header(b"\"url,user\n").unwrap_err().contains("open"));
        let mac = form.header(b"url,user\r/a,1\r/b,2\r").unwrap_err();
        assert!(mac.contains("tr '\\r' '\\n'"), "{mac}");
    }

    #[test]
    fn the_names_of_a_tuple_are_its_header() {
        let form = form(HeaderRow::IfNamed, PAIR);
        assert!(form.header(b"key,value\r\n").unwrap().is_some());
        assert!(form.header(b"\xef\xbb\xbf\"key\",value").unwrap().is_some());
        for row in [&b"value,key\n"[..], b"key,value,more\n", b"a,1\n", b"\xff,1\n", b"", b"\"key"]
        {
            assert!(form.header(row).unwrap().is_none(), "{}", row.escape_ascii());
        }
        let few = Form { header: HeaderRow::Yes, ..form };
        assert!(few.header(b"x,y\n").unwrap().is_some());
        assert!(few.header(b"x\n").unwrap_err().contains("has 1 column, and a record needs 2"));
    }
}
