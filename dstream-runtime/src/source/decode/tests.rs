//! Decoders against `lines()`, serde_json and the csv crate.

use std::cmp::Ordering;

use ::csv as csv_crate;
use proptest::prelude::*;

use super::{CsvRows, DeadLetter, Decode, DecodeScratch, JsonLines, TextLines};
use crate::record::{
    AsRecord, Dialect, Field, FieldError, Fields, Format, Null, Record, Schema, Visitor,
};
use crate::source::{Framing, Piece, Rows};

/// What the derive makes of a struct, over the tuple of its fields.
macro_rules! record {
    ($name:ident $view:ident { $($field:ident: $t:ty),* }) => {
        #[derive(Debug, Clone, PartialEq)]
        pub(super) struct $name { $(pub(super) $field: $t),* }

        #[derive(Debug, Clone, Copy)]
        pub(super) struct $view<'a> { $($field: <$t as Record>::View<'a>),* }

        type Parts = ($($t,)*);

        #[derive(serde::Deserialize)]
        #[serde(bound(deserialize = "'de: 'a"))]
        pub(super) struct Draft<'a> { $($field: <$t as Record>::Draft<'a>),* }

        impl Record for $name {
            type View<'a> = $view<'a>;
            type Archived = <Parts as Record>::Archived;
            type Wire<'a> = <Parts as Record>::Wire<'a>;
            type Draft<'a> = Draft<'a>;
            const SCHEMA: Schema = Schema::Struct {
                name: stringify!($name),
                fields: &[$(Field::new(stringify!($field), <$t as Record>::SCHEMA)),*],
            };
            const EXACT: bool = Parts::EXACT;
            const INLINE: bool = Parts::INLINE;
            fn view(&self) -> $view<'_> { $view { $($field: self.$field.view()),* } }
            fn view_archived(archived: &Self::Archived) -> $view<'_> {
                let ($($field,)*) = Parts::view_archived(archived);
                $view { $($field),* }
            }
            fn view_draft<'d, 'a: 'd>(draft: &'d Draft<'a>) -> $view<'d> {
                $view { $($field: <$t>::view_draft(&draft.$field)),* }
            }
            fn own(view: $view<'_>) -> Self { Self { $($field: <$t>::own(view.$field)),* } }
            fn wire<'a: 'a>(view: $view<'a>) -> Self::Wire<'a> { Parts::wire(($(view.$field,)*)) }
            fn compare(a: $view<'_>, b: $view<'_>) -> Ordering {
                Parts::compare(($(a.$field,)*), ($(b.$field,)*))
            }
            fn visit<V: Visitor>(view: $view<'_>, visitor: &mut V) {
                Parts::visit(($(view.$field,)*), visitor);
            }
            fn from_fields<'a>(fields: &mut Fields<'a>) -> Result<$view<'a>, FieldError> {
                Ok($view { $($field: <$t>::from_fields(fields)?),* })
            }
        }

        impl AsRecord for $view<'_> {
            type Record = $name;
            fn as_view(&self) -> $view<'_> { $view { $($field: self.$field.as_view()),* } }
            fn into_record(self) -> $name { $name::own(self) }
        }
    };
}

mod page {
    use super::*;
    record! { PageView PageViewRef { url: String, user: u64, note: Option<String> } }
}

mod visit {
    use super::*;
    record! { Visit VisitRef { page: PageView, at: (u32, u32) } }
}

use page::PageView;
use visit::Visit;

fn row(url: &str, user: u64, note: Option<&str>) -> PageView {
    PageView { url: url.to_owned(), user, note: note.map(str::to_owned) }
}

struct Decoded<R> {
    records: Vec<R>,
    /// Position, line, reason.
    dead: Vec<(u64, Vec<u8>, String)>,
}

fn decode_piece<D: Decode>(piece: Piece<'_>, scratch: &mut DecodeScratch) -> Decoded<D::Record> {
    let (mut records, mut letters) = (Vec::new(), Vec::new());
    let dead = &mut |letter: DeadLetter<'_>| {
        assert_eq!(letter.split, piece.split);
        letters.push((letter.position, letter.bytes.to_vec(), letter.reason));
    };
    D::decode(piece, scratch, |view| records.push(D::Record::own(view)), dead);
    Decoded { records, dead: letters }
}

fn piece<'a>(bytes: &'a [u8], header: Option<&'a str>) -> Piece<'a> {
    let framing = Framing::of(Format::Csv);
    Piece { bytes, split: "s", position: 0, numbered: false, header, framing, torn: None }
}

fn decode<D: Decode>(bytes: &[u8], header: Option<&str>) -> Decoded<D::Record> {
    decode_piece::<D>(piece(bytes, header), &mut DecodeScratch::default())
}

fn csv<R: Record>(text: &str, header: Option<&str>) -> Decoded<R> {
    decode::<CsvRows<R>>(text.as_bytes(), header)
}

/// Positions, lines and reasons, readable.
fn dead<R>(decoded: &Decoded<R>) -> Vec<(u64, String, &str)> {
    let text = |line: &[u8]| String::from_utf8_lossy(line).into_owned();
    decoded.dead.iter().map(|(at, line, why)| (*at, text(line), why.as_str())).collect()
}

#[test]
fn text_lines() {
    let text = "one\r\n\ntwo\nlast";
    assert_eq!(
        decode::<TextLines>(text.as_bytes(), None).records,
        text.lines().collect::<Vec<_>>()
    );
    assert!(decode::<TextLines>(b"", None).records.is_empty());
    let bad = decode::<TextLines>(b"good\nb\xffd\r\n\xc3\xa4\nb\xc3\nend\xff", None);
    assert_eq!(bad.records, ["good", "ä"]);
    let positions: Vec<_> = bad.dead.iter().map(|d| (d.0, d.1.as_slice())).collect();
    assert_eq!(positions, [(5, &b"b\xffd"[..]), (13, b"b\xc3"), (16, b"end\xff")]);
    assert!(bad.dead.iter().all(|d| d.2 == "is not UTF-8"));
}

#[test]
fn what_is_torn_is_dead() {
    fn torn<D: Decode>() {
        let torn = Piece { torn: Some("too long"), position: 7, ..piece(b"1,2", None) };
        let got = decode_piece::<D>(torn, &mut DecodeScratch::default());
        assert!(got.records.is_empty());
        assert_eq!(got.dead, [(7, b"1,2".to_vec(), "too long".to_owned())]);
    }
    torn::<TextLines>();
    torn::<JsonLines<u64>>();
    torn::<CsvRows<u64>>();
}

#[test]
fn json_lines() {
    let text = "{\"url\":\"/a\",\"user\":1}\n\n  \r\n{\"user\":2,\"url\":\"/\\\"q\\u00e4\",\"note\":\"n\"}\r\n";
    let got = decode::<JsonLines<PageView>>(text.as_bytes(), None);
    assert_eq!(got.records, [row("/a", 1, None), row("/\"qä", 2, Some("n"))]);
    assert!(got.dead.is_empty());
    let got = decode::<JsonLines<(u32, String)>>(
        b"[1,\"a\"]\n[1]\n{\n[2,\"b\"] x\n[3,\"\xff\"]\n[4,\"c\"]",
        None,
    );
    assert_eq!(got.records, [(1, "a".to_owned()), (4, "c".to_owned())]);
    let places: Vec<_> = got.dead.iter().map(|d| d.0).collect();
    assert_eq!(places, [8, 12, 14, 24]);
    assert!(dead(&got)[0].2.contains("at line 1 column 3"), "{:?}", dead(&got));
    let marked = decode::<JsonLines<u64>>("\u{feff}1\nx\n".as_bytes(), None);
    assert_eq!((marked.records, marked.dead[0].0), (vec![1], 5));
}

#[test]
fn csv_columns_are_found_by_name() {
    let got = csv::<PageView>("7,/a,x,\r\n\n8,/b,,\n", Some("user,url,note,extra"));
    assert_eq!(got.records, [row("/a", 7, Some("x")), row("/b", 8, None)]);
    assert!(got.dead.is_empty());
    // An optional column may be absent; names may be quoted.
    let got = csv::<PageView>("/a,7\n", Some("\"url\", user "));
    assert_eq!(got.records, [row("/a", 7, None)]);
    // Without a header the fields come in order of definition.
    let got = csv::<PageView>("/a,7,\n", None);
    assert_eq!(got.records, [row("/a", 7, None)]);
}

#[test]
fn csv_columns_of_nested_records() {
    let header = "at.1,at.0,page.user,page.note,page.url";
    let got = csv::<Visit>("1,2,3,,/a\n", Some(header));
    assert_eq!(got.records, [Visit { page: row("/a", 3, None), at: (2, 1) }]);
}

#[test]
fn a_missing_column_is_named() {
    let got = csv::<PageView>("/a,7\n/b,8\n", Some("url,usr"));
    assert!(got.records.is_empty());
    let why = "the header row has no column `user` (did you mean `usr`?); it has `url`, `usr`";
    assert_eq!(dead(&got), [(0, "/a,7".to_owned(), why), (5, "/b,8".to_owned(), why)]);
}

#[test]
fn tuples_and_scalars_take_columns_as_they_come() {
    assert_eq!(csv::<(String, u8)>("a,1,more\n", None).records, [("a".to_owned(), 1)]);
    assert_eq!(csv::<(u8, u8)>("1,2\n", Some("x,y")).records, [(1, 2)]);
    assert_eq!(csv::<u8>("1\n2", None).records, [1, 2]);
}

#[test]
fn rows_that_do_not_fit() {
    let got = csv::<PageView>("/a,7\n/b,x\n/c\n/d,1,2\n/e,9", Some("url,user"));
    assert_eq!(got.records, [row("/a", 7, None), row("/e", 9, None)]);
    let reasons = dead(&got);
    assert!(reasons[0].2.contains("\"x\""), "{reasons:?}");
    assert_eq!(reasons[1].2, "has 1 fields where the header has 2");
    assert_eq!(reasons[2], (13, "/d,1,2".to_owned(), "has 3 fields where the header has 2"));
    assert!(dead(&csv::<(u8, u8)>("1\n", None))[0].2.contains("field 2 is missing"));
}

#[test]
fn quotes() {
    let got = csv::<(String, String, u8)>(
        "\"a,b\",\"say \"\"x\"\"\",1\r\nplain,in'side,2\n\"\",\"\",3\n",
        None,
    );
    let text = |a: &str, b: &str, n| (a.to_owned(), b.to_owned(), n);
    assert_eq!(
        got.records,
        [text("a,b", "say \"x\"", 1), text("plain", "in'side", 2), text("", "", 3)]
    );
    let got = csv::<(String, u8)>("\"two\nlines\",1\n\"x\"y,2\n5\" tall,3\nz,3\n", None);
    assert_eq!(got.records, [("two\nlines".to_owned(), 1), ("z".to_owned(), 3)]);
    let reasons = dead(&got);
    assert_eq!(reasons[0].1, "\"x\"y,2");
    assert!(reasons[0].2.contains("after the closing quote"));
    assert!(reasons[1].2.contains("does not begin with one"));
}

#[test]
fn an_open_quote_is_one_dead_letter() {
    let got = csv::<(u8, String)>("1,a\n2,\"open\n3,b\n4,c", None);
    assert_eq!(got.records, [(1, "a".to_owned())]);
    let reasons = dead(&got);
    assert_eq!((reasons.len(), reasons[0].0, reasons[0].1.as_str()), (1, 4, "2,\"open\n3,b\n4,c"));
    assert!(reasons[0].2.contains("still open at its end: 15 bytes, 3 lines"), "{}", reasons[0].2);
    // It takes no more with it than a row may have.
    let rows = Rows { span: 8, ..Rows::default() };
    let bytes = b"1,a\n2,\"open\n3,b\n4,\"c\"\n5,\"long \n long\"\n6,d\n";
    let piece = Piece { framing: Framing::Csv(rows), ..piece(bytes, None) };
    let got = decode_piece::<CsvRows<(u8, String)>>(piece, &mut DecodeScratch::default());
    assert_eq!(got.records, [(1, "a".to_owned()), (4, "c".to_owned()), (6, "d".to_owned())]);
    let lines: Vec<String> = dead(&got).into_iter().map(|dead| dead.1).collect();
    assert_eq!(lines, ["2,\"open\n3,b", "5,\"long ", " long\""]);
    let long = format!("1,\"{}", "x\n".repeat(10_000));
    let got = csv::<(u8, String)>(&long, None);
    assert_eq!((got.dead.len(), got.dead[0].1.len()), (1, 4096));
}

#[test]
fn a_carriage_return_alone_ends_no_row() {
    let got = csv::<(u8, String)>("1,a\r2,b\r\n3,\"c\rd\"\r\n4,e\r\r\n\"5\",f\rg\n6,h\r\n", None);
    assert_eq!(got.records, [(3, "c\rd".to_owned()), (6, "h".to_owned())]);
    let reasons = dead(&got);
    assert_eq!(reasons.len(), 3);
    assert!(reasons.iter().all(|dead| dead.2.contains("tr '\\r' '\\n'")), "{reasons:?}");
}

#[test]
fn a_column_that_is_there_twice_is_no_field() {
    let got = csv::<PageView>("/a,7,8\n", Some("url,user,user"));
    assert!(got.records.is_empty());
    assert!(dead(&got)[0].2.contains("has the column `user` more than once"), "{:?}", got.dead);
    // Of columns that no field needs it does not matter.
    let got = csv::<PageView>("/a,7,x,y\n", Some("url,user,other,other"));
    assert_eq!(got.records, [row("/a", 7, None)]);
}

#[test]
fn a_json_line_that_is_none_says_what_the_text_lacks() {
    let reason = |text: &str| {
        let got = decode_piece::<JsonLines<u64>>(
            piece(text.as_bytes(), None),
            &mut DecodeScratch::default(),
        );
        dead(&got).pop().map(|dead| dead.2.to_owned())
    };
    assert!(reason("1\r2\r3\r").unwrap().contains("tr '\\r' '\\n'"));
    for text in ["[", " 12[", "1,["] {
        assert!(reason(text).unwrap().contains("its `]` is missing"), "{text}");
    }
    for text in ["x\r1", "x[", "{}"] {
        assert!(reason(text).unwrap().contains("not a `u64`"), "{text}");
    }
    assert_eq!(reason("1\r\n2\r\n"), None);
}

#[test]
fn nothing_and_empty_are_told_apart() {
    type Row = (Option<String>, Option<u8>, String);
    let some = |text: &str| Some(text.to_owned());
    let got = csv::<Row>("\"\",\"\",\"\"\n,,\na,1,b\n", None);
    let expected = [
        (some(""), None, String::new()),
        (None, None, String::new()),
        (some("a"), Some(1), "b".into()),
    ];
    assert_eq!(got.records, expected);
    let dialect = Dialect { null: Null::new("NA").unwrap(), ..Dialect::default() };
    let rows = Rows { dialect, ..Rows::default() };
    let piece = Piece { framing: Framing::Csv(rows), ..piece(b"NA,NA,NA\n\"NA\",,\n,1,x\n", None) };
    let got = decode_piece::<CsvRows<Row>>(piece, &mut DecodeScratch::default());
    let expected = [
        (None, None, "NA".into()),
        (some("NA"), None, String::new()),
        (some(""), Some(1), "x".into()),
    ];
    assert_eq!(got.records, expected);
}

#[test]
fn dialects() {
    let dialect = |delimiter, quote, comment| {
        let dialect = Dialect { delimiter, quote, comment, ..Dialect::default() };
        Framing::Csv(Rows { dialect, ..Rows::default() })
    };
    let rows = |bytes: &[u8], framing| {
        let piece = Piece { framing, ..piece(bytes, None) };
        let got = decode_piece::<CsvRows<(u8, String)>>(piece, &mut DecodeScratch::default());
        let shown: Vec<String> =
            got.records.iter().map(|(n, text)| format!("{n}:{text}")).collect();
        (shown.join("|"), got.dead.len())
    };
    let text = b"1;a,b\n2;'c;''d\n'\n#3;\"e\n4;#\n";
    assert_eq!(
        rows(text, dialect(b';', Some(b'\''), Some(b'#'))),
        ("1:a,b|2:c;'d\n|4:#".into(), 0)
    );
    assert_eq!(rows(b"1\t\"a\n2\tb\"\n", dialect(b'\t', None, None)), ("1:\"a|2:b\"".into(), 0));
    assert_eq!(rows(b"#,\"\n1,#\n#\n", dialect(b',', Some(b'"'), Some(b'#'))), ("1:#".into(), 0));
}

#[test]
fn floats_are_in_range() {
    let got = csv::<f64>("1e308\n1e400\n-1e309\ninf\n-inf\n1e-400\nInfinity\n", None);
    assert_eq!(got.records, [1e308, f64::INFINITY, f64::NEG_INFINITY, 0.0, f64::INFINITY]);
    assert!(dead(&got)[0].2.contains("out of the range of f64"), "{:?}", dead(&got));
    let got = csv::<f32>("1e38\n1e39\nnan\n", None);
    assert_eq!((got.records.len(), got.dead.len()), (2, 1));
}

#[test]
fn bad_bytes_spoil_one_row() {
    let got = decode::<CsvRows<(String, u8)>>(b"a,1\nb\xff,2\nc,3\n", None);
    assert_eq!(got.records, [("a".to_owned(), 1), ("c".to_owned(), 3)]);
    assert_eq!((got.dead.len(), got.dead[0].0), (1, 4));
}

#[test]
fn the_scratch_follows_the_header_and_the_record() {
    let mut scratch = DecodeScratch::default();
    let mut rows = |bytes: &[u8], header| {
        decode_piece::<CsvRows<PageView>>(piece(bytes, header), &mut scratch).records
    };
    assert_eq!(rows(b"/a,1\n", Some("url,user")), [row("/a", 1, None)]);
    assert_eq!(rows(b"1,/a\n", Some("user,url")), [row("/a", 1, None)]);
    assert_eq!(rows(b"/a,1,x\n", None), [row("/a", 1, Some("x"))]);
    assert_eq!(rows(b"/a,1\n", Some("url,user")), [row("/a", 1, None)]);
    let other =
        decode_piece::<CsvRows<(String, u64)>>(piece(b"/a,1\n", Some("url,user")), &mut scratch);
    assert_eq!(other.records, [("/a".to_owned(), 1)]);
}

/// The rows as the csv crate reads them.
fn reference(text: &str) -> Vec<Vec<String>> {
    csv_crate::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(text.as_bytes())
        .records()
        .map(|record| record.unwrap().iter().map(str::to_owned).collect())
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn csv_reads_what_the_csv_crate_writes(
        rows in proptest::collection::vec(proptest::collection::vec("[a-c,\"; äx\r\n#]{0,20}", 4), 0..30),
        crlf in any::<bool>(),
    ) {
        let end = if crlf { csv_crate::Terminator::CRLF } else { csv_crate::Terminator::Any(b'\n') };
        let mut writer = csv_crate::WriterBuilder::new().terminator(end).from_writer(Vec::new());
        for row in &rows { writer.write_record(row).unwrap(); }
        let text = String::from_utf8(writer.into_inner().unwrap()).unwrap();
        let got = csv::<(String, String, String, String)>(&text, None);
        prop_assert!(got.dead.is_empty());
        let got: Vec<_> = got.records.into_iter().map(|(a, b, c, d)| vec![a, b, c, d]).collect();
        prop_assert_eq!(&got, &rows);
    }

    #[test]
    fn csv_reads_what_the_csv_crate_reads(
        // Of malformed rows the csv crate makes the best it can.
        lines in proptest::collection::vec("([a-d;]{0,9}|\"a(\"\"|[b,]){0,9}\"),([a-d]{0,9}|\"[a,]{0,5}\"),[a-e]{1,9}", 0..30),
        ends in any::<bool>(),
    ) {
        let mut text = lines.join("\n");
        if ends { text.push('\n'); }
        let got = csv::<(String, String, String)>(&text, None);
        prop_assert!(got.dead.is_empty());
        let got: Vec<_> = got.records.into_iter().map(|(a, b, c)| vec![a, b, c]).collect();
        prop_assert_eq!(got, reference(&text));
    }

    #[test]
    fn text_is_what_lines_gives(text in "([a-z ä]{0,20}(\n|\r\n)){0,30}[a-z]{0,5}") {
        let got = decode::<TextLines>(text.as_bytes(), None);
        prop_assert_eq!(got.records, text.lines().collect::<Vec<_>>());
    }

    #[test]
    fn nothing_panics(bytes in proptest::collection::vec(prop_oneof![Just(b','), Just(b'"'), Just(b'\n'), any::<u8>()], 0..200)) {
        let lines = bytes.split(|b| *b == b'\n').filter(|line| !line.is_empty()).count();
        let got = decode::<CsvRows<(String, String)>>(&bytes, None);
        prop_assert!(got.records.len() + got.dead.len() <= lines);
        let _ = csv::<PageView>("/a,1\n", std::str::from_utf8(&bytes).ok());
        let got = decode::<TextLines>(&bytes, None);
        let all = bytes.split_inclusive(|b| *b == b'\n').count();
        prop_assert_eq!(got.records.len() + got.dead.len(), all);
        decode::<JsonLines<(String, u8)>>(&bytes, None);
    }
}

#[test]
fn floats_in_json_are_those_of_std() {
    for text in ["5e90", "1e23", "-2.2250738585072011e-308", "0.1", "123456789012345680000.5e-9"] {
        let piece = piece(text.as_bytes(), None);
        let mut read = Vec::new();
        JsonLines::<f64>::decode(
            piece,
            &mut DecodeScratch::default(),
            |number| read.push(number),
            &mut |letter| panic!("{letter:?}"),
        );
        assert_eq!(read, [text.parse::<f64>().unwrap()], "{text}");
    }
}
