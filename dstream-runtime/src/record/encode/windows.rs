//! Records of windows as text: start and end of the window come before the record.
//!
//! Times are dates in UTC with milliseconds. In CSV and text they are two more columns, in JSON two more fields of the
//! record's object; a record that is no object is its field `value`. What the record has a field for by that name is
//! not written before it: there would be two of them, and readers of JSON take the last.

use super::Visitor;
use super::flat::{Flat, write_csv_as, write_text};
use super::json::{NotFinite, write_json};
use crate::calendar;
use crate::record::{Dialect, Floats, Record, Schema};

/// How a record is written: alone, or behind its window. None appends a line break.
pub(crate) trait Shown {
    /// Appends one line of text.
    fn text<R: Record>(&self, view: R::View<'_>, out: &mut Vec<u8>);
    /// Appends one row of CSV.
    fn csv<R: Record>(&self, view: R::View<'_>, dialect: &Dialect, out: &mut Vec<u8>);
    /// Appends one JSON value.
    ///
    /// # Errors
    /// When a float is not finite and such floats are refused. Nothing is appended then.
    fn json<R: Record>(
        &self,
        view: R::View<'_>,
        floats: Floats,
        out: &mut Vec<u8>,
    ) -> Result<(), NotFinite>;
}

/// Without a window.
pub(crate) struct Alone;

impl Shown for Alone {
    #[inline(always)]
    fn text<R: Record>(&self, view: R::View<'_>, out: &mut Vec<u8>) {
        write_text::<R>(view, out);
    }
    #[inline(always)]
    fn csv<R: Record>(&self, view: R::View<'_>, dialect: &Dialect, out: &mut Vec<u8>) {
        write_csv_as::<R>(view, dialect, out);
    }
    #[inline(always)]
    fn json<R: Record>(
        &self,
        view: R::View<'_>,
        floats: Floats,
        out: &mut Vec<u8>,
    ) -> Result<(), NotFinite> {
        write_json::<R>(view, floats, out)
    }
}

/// The names of the two columns.
const NAMES: [&str; 2] = ["window_start", "window_end"];

/// A window whose records are written.
#[derive(Debug)]
pub(crate) struct InWindow {
    bounds: (i64, i64),
    /// What is written before the record: names and dates.
    shown: Vec<(&'static str, String)>,
}

/// The names that a record has no field for.
fn names_beside(record: &Schema) -> impl Iterator<Item = (usize, &'static str)> {
    let of_record = |name: &str| match record {
        Schema::Struct { fields, .. } => fields.iter().any(|field| field.name == name),
        _ => false,
    };
    NAMES.into_iter().enumerate().filter(move |(_, name)| !of_record(name))
}

impl InWindow {
    /// A window of records from its start to its end, in milliseconds since 1970.
    pub(crate) fn new<R: Record>(bounds: (i64, i64)) -> Self {
        let dates = [bounds.0, bounds.1];
        let shown = names_beside(&R::SCHEMA).map(|(at, name)| (name, calendar::iso_of(dates[at])));
        Self { bounds, shown: shown.collect() }
    }

    pub(crate) fn is(&self, bounds: (i64, i64)) -> bool {
        self.bounds == bounds
    }

    /// Appends the names of the columns, and what divides them from those of the record.
    pub(crate) fn write_header<R: Record>(dialect: &Dialect, out: &mut Vec<u8>) {
        for (_, name) in names_beside(&R::SCHEMA) {
            Flat::csv(out, dialect).text(name);
            out.push(dialect.delimiter);
        }
    }

    fn show<R: Record>(&self, view: R::View<'_>, flat: &mut Flat<'_>) {
        self.shown.iter().for_each(|(_, date)| flat.text(date));
        R::visit(view, flat);
    }
}

impl Shown for InWindow {
    fn text<R: Record>(&self, view: R::View<'_>, out: &mut Vec<u8>) {
        self.show::<R>(view, &mut Flat::new(out, b'\t', None));
    }

    fn csv<R: Record>(&self, view: R::View<'_>, dialect: &Dialect, out: &mut Vec<u8>) {
        self.show::<R>(view, &mut Flat::csv(out, dialect));
    }

    fn json<R: Record>(
        &self,
        view: R::View<'_>,
        floats: Floats,
        out: &mut Vec<u8>,
    ) -> Result<(), NotFinite> {
        let before = out.len();
        if self.shown.is_empty() {
            return write_json::<R>(view, floats, out);
        }
        out.push(b'{');
        for (name, date) in &self.shown {
            for part in ["\"", name, "\":\"", date, "\","] {
                out.extend_from_slice(part.as_bytes());
            }
        }
        // Of the record's own object, the brace gives way to the last comma.
        let is_object = matches!(R::SCHEMA, Schema::Struct { .. } | Schema::Tuple(_));
        if is_object {
            out.pop();
        } else {
            out.extend_from_slice(br#""value":"#);
        }
        let record = out.len();
        if let Err(refused) = write_json::<R>(view, floats, out) {
            out.truncate(before);
            return Err(refused);
        }
        if is_object {
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
    use crate::record::Field;

    fn written<R: Record>(record: &R) -> [String; 3] {
        let window = InWindow::new::<R>((60_000, 120_000));
        let (mut text, mut csv, mut json) = (Vec::new(), Vec::new(), Vec::new());
        window.text::<R>(record.view(), &mut text);
        window.csv::<R>(record.view(), &Dialect::default(), &mut csv);
        window.json::<R>(record.view(), Floats::Refuse, &mut json).unwrap();
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
        InWindow::write_header::<u64>(&Dialect::default(), &mut header);
        assert_eq!(header, b"window_start,window_end,");
    }

    #[test]
    fn a_field_of_the_same_name_is_written_once() {
        const FIELDS: &[Field] = &[
            Field::new("window_end", Schema::Scalar("u64")),
            Field::new("n", Schema::Scalar("u64")),
        ];
        let names = |fields| -> Vec<&str> {
            let record = Schema::Struct { name: "Own", fields };
            names_beside(&record).map(|(_, name)| name).collect()
        };
        assert_eq!(names(FIELDS), ["window_start"]);
        assert_eq!(names(&FIELDS[1..]), NAMES);
    }

    #[test]
    fn a_float_that_json_has_no_number_for_is_refused_whole() {
        let mut out = b"before".to_vec();
        let refused = InWindow::new::<f64>((0, 1)).json::<f64>(f64::NAN, Floats::Refuse, &mut out);
        assert!(refused.is_err() && out == b"before");
    }
}
