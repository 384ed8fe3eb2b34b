//! How a split is read from its beginning: a byte order mark that is dropped, a header row, and then records.
//!
//! Decides whether the first row is a header, and whether it names what the records need: one that does not is
//! one error, before any row is read.

use std::sync::Arc;

use super::decode::{missing_columns, names};
use super::framing::{Framing, Outer};
use crate::record::{Schema, column_names};

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
            None if columns.is_empty() => Err("the header row, the first one, is empty".to_owned()),
            None => Ok(Some(text.into())),
        }
    }

    fn is_named(&self, text: &str) -> bool {
        let wanted = self.schema.as_ref().map(column_names);
        wanted.is_some_and(|wanted| names(text, self.framing.rows()).is_ok_and(|is| is == wanted))
    }
}

/// How many of the first bytes of a split are a mark.
pub(super) fn mark_len(bytes: &[u8]) -> usize {
    if bytes.starts_with(MARK) { MARK.len() } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Format, Record};

    fn form(header: HeaderRow, schema: Schema) -> Form {
        let (framing, json) = (Framing::of(Format::Csv), None);
        Form { framing, header, json, schema: Some(schema) }
    }

    const PAIR: Schema = <(String, u64)>::SCHEMA;
    const VIEW: Schema = Schema::Struct {
        name: "View",
        fields: &[
            crate::record::Field { name: "url", schema: Schema::Scalar("str") },
            crate::record::Field { name: "user", schema: Schema::Scalar("u64") },
            crate::record::Field { name: "note", schema: Schema::Option(&Schema::Scalar("str")) },
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
