//! Records of windows as text: start and end of the window come before the record.
//!
//! Times are dates in UTC with milliseconds. In CSV and text they are two more columns, in JSON two more fields of the
//! record's object; a record that is no object is its field `value`.

use super::Visitor;
use super::flat::Flat;
use super::json::{NotFinite, write_json};
use crate::calendar;
use crate::record::{Dialect, Floats, Record, Schema, column_names};

/// The names of the two columns.
const NAMES: [&str; 2] = ["window_start", "window_end"];

/// A window whose records are written.
#[derive(Debug)]
pub(crate) struct InWindow {
    bounds: (i64, i64),
    start: String,
    end: String,
}

impl InWindow {
    /// A window from its start to its end, in milliseconds since 1970.
    pub(crate) fn new(bounds: (i64, i64)) -> Self {
        Self { bounds, start: calendar::iso_of(bounds.0), end: calendar::iso_of(bounds.1) }
    }

    /// Whether a record has columns of these names itself.
    pub(crate) fn is_in(schema: &Schema) -> bool {
        column_names(schema).iter().any(|name| NAMES.contains(&name.as_str()))
    }

    pub(crate) fn is(&self, bounds: (i64, i64)) -> bool {
        self.bounds == bounds
    }

    /// Appends the names of the columns, and what divides them from those of the record.
    pub(crate) fn write_header(dialect: &Dialect, out: &mut Vec<u8>) {
        let mut flat = Flat::csv(out, dialect);
        NAMES.iter().for_each(|name| flat.text(name));
        out.push(dialect.delimiter);
    }

    /// Appends one line of text, without a line break.
    pub(crate) fn write_text<R: Record>(&self, view: R::View<'_>, out: &mut Vec<u8>) {
        self.show::<R>(view, &mut Flat::new(out, b'\t', None));
    }

    /// Appends one row of CSV, without a line break.
    pub(crate) fn write_csv<R: Record>(
        &self,
        view: R::View<'_>,
        dialect: &Dialect,
        out: &mut Vec<u8>,
    ) {
        self.show::<R>(view, &mut Flat::csv(out, dialect));
    }

    fn show<R: Record>(&self, view: R::View<'_>, flat: &mut Flat<'_>) {
        flat.text(&self.start);
        flat.text(&self.end);
        R::visit(view, flat);
    }

    /// Appends one JSON value, without a line break.
    ///
    /// # Errors
    /// When a float is not finite and such floats are refused. Nothing is appended then.
    pub(crate) fn write_json<R: Record>(
        &self,
        view: R::View<'_>,
        floats: Floats,
        out: &mut Vec<u8>,
    ) -> Result<(), NotFinite> {
        let before = out.len();
        let ([start, end], [from, to]) = (NAMES, [&self.start, &self.end]);
        out.extend_from_slice(format!(r#"{{"{start}":"{from}","{end}":"{to}""#).as_bytes());
        let is_object = matches!(R::SCHEMA, Schema::Struct { .. } | Schema::Tuple(_));
        if !is_object {
            out.extend_from_slice(br#","value":"#);
        }
        let record = out.len();
        if let Err(refused) = write_json::<R>(view, floats, out) {
            out.truncate(before);
            return Err(refused);
        }
        if is_object {
            // The record's own brace.
            out[record] = b',';
        } else {
            out.push(b'}');
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written<R: Record>(record: &R) -> [String; 3] {
        let window = InWindow::new((60_000, 120_000));
        let (mut text, mut csv, mut json) = (Vec::new(), Vec::new(), Vec::new());
        window.write_text::<R>(record.view(), &mut text);
        window.write_csv::<R>(record.view(), &Dialect::default(), &mut csv);
        window.write_json::<R>(record.view(), Floats::Refuse, &mut json).unwrap();
        [text, csv, json].map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn windows_come_before_records_of_any_shape() {
        let [text, csv, json] = written(&("a,b".to_owned(), 3u64));
        assert_eq!(text, "1970-01-01T00:01:00.000Z\t1970-01-01T00:02:00.000Z\ta,b\t3");
        assert_eq!(csv, "1970-01-01T00:01:00.000Z,1970-01-01T00:02:00.000Z,\"a,b\",3");
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        let expected = serde_json::json!({
            "window_start": "1970-01-01T00:01:00.000Z",
            "window_end": "1970-01-01T00:02:00.000Z",
            "key": "a,b",
            "value": 3,
        });
        assert_eq!(json, expected);
        let json: serde_json::Value = serde_json::from_str(&written(&7u64)[2]).unwrap();
        assert_eq!((&json["value"], &json["window_end"]), (&7.into(), &expected["window_end"]));
        let mut header = Vec::new();
        InWindow::write_header(&Dialect::default(), &mut header);
        assert_eq!(header, b"window_start,window_end,");
    }

    #[test]
    fn a_float_that_json_has_no_number_for_is_refused_whole() {
        let mut out = b"before".to_vec();
        let refused = InWindow::new((0, 1)).write_json::<f64>(f64::NAN, Floats::Refuse, &mut out);
        assert!(refused.is_err() && out == b"before");
    }
}
