//! What is written, against readers that others wrote.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::record::Field;

type Nested = (String, Option<i64>, Vec<(String, Option<u8>)>, (char, bool));

fn written<R: Record>(record: &R, write: impl Fn(R::View<'_>, &mut Vec<u8>)) -> String {
    let mut out = b"before".to_vec();
    write(record.view(), &mut out);
    String::from_utf8(out).unwrap().split_off(6)
}

fn json_of<R: Record>(record: &R) -> String {
    written(record, write_json::<R>)
}

fn csv_of<R: Record>(record: &R) -> String {
    written(record, write_csv::<R>)
}

/// The rows as the csv crate reads them, below a first row: readers drop a byte order mark that
/// begins a file.
fn csv_rows(text: &str) -> Vec<Vec<String>> {
    let text = format!("first\n{text}");
    let mut reader = csv::ReaderBuilder::new();
    let reader = reader.flexible(true).from_reader(text.as_bytes());
    let fields = |row: csv::StringRecord| row.iter().map(str::to_owned).collect();
    reader.into_records().map(|row| fields(row.unwrap())).collect()
}

/// Texts made of what needs care.
fn texts() -> impl Strategy<Value = String> {
    prop_oneof!["[a-c,\"\\\\\r\n;\t é\u{0}\u{1f}\u{7f}\u{2028}]{0,24}", ".{0,24}"]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn json_is_read_back_by_serde_json(records in prop::collection::vec(
        (texts(), any::<Option<i64>>(), prop::collection::vec((texts(), any::<Option<u8>>()), 0..3),
         (any::<char>(), any::<bool>())), 1..8,
    )) {
        let lines: Vec<String> = records.iter().map(json_of::<Nested>).collect();
        for (line, record) in lines.iter().zip(&records) {
            prop_assert!(!line.contains('\n'));
            let value: Value = serde_json::from_str(line).unwrap();
            prop_assert_eq!(value, serde_json::to_value(record).unwrap());
        }
    }

    #[test]
    fn csv_is_read_back_by_the_csv_crate(records in prop::collection::vec(
        (texts(), any::<Option<i64>>(), texts(), (any::<u16>(), any::<bool>())), 1..8,
    )) {
        let rows: Vec<String> = records.iter().map(csv_of).collect();
        let expected: Vec<Vec<String>> = records
            .iter()
            .map(|(a, b, c, (d, e))| {
                let b = b.map_or_else(String::new, |b| b.to_string());
                vec![a.clone(), b, c.clone(), d.to_string(), e.to_string()]
            })
            .collect();
        prop_assert_eq!(csv_rows(&rows.join("\n")), expected);
    }

    #[test]
    fn one_column_is_a_row_even_if_empty(records in prop::collection::vec(texts(), 1..8)) {
        let rows: Vec<String> = records.iter().map(csv_of).collect();
        let expected: Vec<_> = records.iter().map(|text| vec![text.clone()]).collect();
        prop_assert_eq!(csv_rows(&rows.join("\n")), expected);
    }

    #[test]
    fn a_list_is_one_column(list in prop::collection::vec(texts(), 0..4), after in texts()) {
        let row = csv_of(&(1u8, list.clone(), after.clone()));
        let expected = vec![vec!["1".to_owned(), list.join(";"), after]];
        prop_assert_eq!(csv_rows(&row), expected);
    }

    #[test]
    fn floats_come_back_to_the_bit(float in any::<f64>(), single in any::<f32>()) {
        for text in [csv_of(&float), written(&float, write_text::<f64>)] {
            let back: f64 = text.parse().unwrap();
            prop_assert!(back.to_bits() == float.to_bits() || back.is_nan() && float.is_nan());
        }
        let back: f32 = csv_of(&single).parse().unwrap();
        prop_assert!(back.to_bits() == single.to_bits() || back.is_nan() && single.is_nan());
        if float.is_finite() && single.is_finite() {
            prop_assert_eq!(json_of(&float).parse::<f64>().unwrap().to_bits(), float.to_bits());
            prop_assert_eq!(json_of(&single).parse::<f32>().unwrap().to_bits(), single.to_bits());
            serde_json::from_str::<Value>(&json_of(&(float, single))).unwrap();
        }
    }

    #[test]
    fn integers_are_written_in_full(a in any::<u64>(), b in any::<i64>()) {
        prop_assert_eq!(csv_of(&(a, b)), format!("{a},{b}"));
        prop_assert_eq!(json_of(&(a, b)), format!("[{a},{b}]"));
    }
}

#[test]
fn json_has_no_infinities() {
    assert_eq!(json_of(&(f64::NAN, f64::INFINITY, f32::NEG_INFINITY)), "[null,null,null]");
    assert_eq!(json_of(&(-0.0f64, 0.1f32, 1e300f64)), "[-0.0,0.1,1e+300]");
    assert_eq!(csv_of(&(f64::NAN, f64::INFINITY, f32::NEG_INFINITY)), "NaN,inf,-inf");
}

#[test]
fn text_is_as_it_is() {
    let text = |record: (String, Option<u8>, Vec<u8>, char)| {
        written(&record, write_text::<(String, Option<u8>, Vec<u8>, char)>)
    };
    assert_eq!(text(("a,\"b\"".into(), None, vec![1, 2], 'c')), "a,\"b\"\t\t1;2\tc");
    assert_eq!(written(&"no, quotes".to_owned(), write_text::<String>), "no, quotes");
}

#[test]
fn absent_values_keep_their_columns() {
    let none: (u8, Option<(String, u64)>, u8) = (1, None, 2);
    assert_eq!(csv_of(&none), "1,,,2");
    assert_eq!(json_of(&none), "[1,null,2]");
    assert_eq!(csv_of(&None::<u8>), "\"\"");
    let lists = (vec![vec![1u8, 2], vec![], vec![3]], vec![None, Some(4u8)]);
    assert_eq!(csv_of(&lists), "1;2;;3,;4");
    assert_eq!(json_of(&lists), "[[[1,2],[],[3]],[null,4]]");
}

#[test]
fn structs_are_objects() {
    let mut out = Vec::new();
    let mut json = Json(&mut out);
    json.begin_struct();
    json.field(0, "url");
    json.text("/a\"b\\c\u{1}\n");
    json.field(1, "place");
    json.begin_struct();
    json.field(0, "at");
    json.single(1.5);
    json.end_struct();
    json.end_struct();
    let value: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(value, json!({"url": "/a\"b\\c\u{1}\n", "place": {"at": 1.5}}));
    assert_eq!(out, br#"{"url":"/a\"b\\c\u0001\n","place":{"at":1.5}}"#);
}

#[test]
fn a_header_names_every_column() {
    const PLACE: Schema = Schema::Struct {
        name: "Place",
        fields: &[
            Field { name: "city", schema: Schema::Scalar("str") },
            Field { name: "at", schema: Schema::Tuple(&[f64::SCHEMA, f64::SCHEMA]) },
        ],
    };
    const VIEW: Schema = Schema::Struct {
        name: "View",
        fields: &[
            Field { name: "url", schema: Schema::Scalar("str") },
            Field { name: "tags", schema: Schema::List(&PLACE) },
            Field { name: "place", schema: Schema::Option(&PLACE) },
            Field { name: "user", schema: Schema::Scalar("u64") },
        ],
    };
    let header = |schema: &Schema| {
        let mut out = Vec::new();
        write_csv_header(schema, &mut out);
        String::from_utf8(out).unwrap()
    };
    assert_eq!(header(&VIEW), "url,tags,place.city,place.at.0,place.at.1,user");
    assert_eq!(header(&VIEW).split(',').count(), VIEW.columns());
    assert_eq!(header(&<(String, u64)>::SCHEMA), "key,value");
    assert_eq!(
        header(&Schema::Struct { name: "S", fields: &[Field { name: "a,b", schema: u8::SCHEMA }] }),
        "\"a,b\""
    );
}
