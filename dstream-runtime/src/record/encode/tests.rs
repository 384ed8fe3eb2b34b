//! What is written, against readers that others wrote.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::record::{Dialect, Field, Floats, Null, Record, Schema, explain};

type Nested = (String, Option<i64>, Vec<(String, Option<u8>)>, (char, bool));

fn written<R: Record>(record: &R, write: impl Fn(R::View<'_>, &mut Vec<u8>)) -> String {
    let mut out = b"before".to_vec();
    write(record.view(), &mut out);
    String::from_utf8(out).unwrap().split_off(6)
}

fn json_of<R: Record>(record: &R) -> String {
    written(record, |view, out| write_json::<R>(view, Floats::Refuse, out).unwrap())
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
            let (a, b, c, d) = record;
            prop_assert_eq!(value, json!({"_0": a, "_1": b, "_2": c, "_3": d}));
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
    fn a_list_is_one_column_that_holds_json(
        list in prop::collection::vec((texts(), any::<Option<i64>>()), 0..4),
        after in texts(),
        floats in prop::collection::vec(any::<f32>().prop_filter("finite", |f| f.is_finite()), 0..3),
    ) {
        let row = csv_of(&(1u8, list.clone(), after.clone(), vec![floats.clone()]));
        let rows = csv_rows(&row);
        prop_assert_eq!((rows.len(), rows[0].len()), (1, 4));
        prop_assert_eq!((rows[0][0].as_str(), &rows[0][2]), ("1", &after));
        prop_assert_eq!(serde_json::from_str::<Value>(&rows[0][1]).unwrap(), json!(list));
        let back: Vec<Vec<f32>> = serde_json::from_str(&rows[0][3]).unwrap();
        prop_assert_eq!(back, [floats]);
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
        prop_assert_eq!(json_of(&(a, b)), format!("{{\"key\":{a},\"value\":{b}}}"));
    }
}

#[test]
fn json_has_no_infinities() {
    for (record, name) in [
        ((f64::NAN, 1.0f32), "NaN"),
        ((-f64::NAN, 1.0), "NaN"),
        ((f64::INFINITY, f32::NAN), "Infinity"),
        ((1.0, f32::NEG_INFINITY), "-Infinity"),
        ((1.0, f32::INFINITY), "Infinity"),
    ] {
        let mut out = b"before".to_vec();
        let error = write_json::<(f64, f32)>(record.view(), Floats::Refuse, &mut out).unwrap_err();
        assert_eq!((error.name, out.as_slice()), (name, &b"before"[..]));
        write_json::<(f64, f32)>(record.view(), Floats::Strings, &mut out).unwrap();
        let text = std::str::from_utf8(&out[6..]).unwrap();
        assert!(text.contains(&format!("\"{name}\"")), "{text}");
        // Such strings are floats only for a reader that asks for them.
        let read = || serde_json::from_str::<<(f64, f32) as Record>::Draft<'_>>(text);
        assert!(read().is_err() && Floats::Refuse.reading(read).is_err());
        let draft = Floats::Strings.reading(read).unwrap();
        let back = <(f64, f32)>::view_draft(&draft);
        let same = |a: f64, b: f64| a == b || a.is_nan() && b.is_nan();
        assert!(same(back.0, record.0) && same(back.1.into(), record.1.into()), "{text}");
    }
    assert_eq!(json_of(&(-0.0f64, 0.1f32, 1e300f64)), "{\"_0\":-0.0,\"_1\":0.1,\"_2\":1e+300}");
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
    assert_eq!(json_of(&none), "{\"_0\":1,\"_1\":null,\"_2\":2}");
    assert_eq!(csv_of(&None::<u8>), "\"\"");
    let lists = (vec![vec![1u8, 2], vec![], vec![3]], vec![None, Some(4u8)]);
    assert_eq!(csv_of(&lists), "\"[[1,2],[],[3]]\",\"[null,4]\"");
    assert_eq!(json_of(&lists), "{\"key\":[[1,2],[],[3]],\"value\":[null,4]}");
}

#[test]
fn different_lists_are_different_cells() {
    let of = |list: &[&str]| {
        csv_of(&list.iter().map(|item| (*item).to_owned()).collect::<Vec<String>>())
    };
    let lists: [&[&str]; 6] = [&["a;b", "c"], &["a", "b", "c"], &[], &[""], &["", ""], &["[]"]];
    let cells: std::collections::BTreeSet<_> = lists.map(of).into();
    assert_eq!(cells.len(), lists.len(), "{cells:?}");
    assert_eq!(of(&["a;b", "c"]), r#""[""a;b"",""c""]""#);
    assert_eq!(of(&[]), "[]");
    assert_eq!(csv_of(&vec![(1u8, f64::NAN)]), r#""[[1,""NaN""]]""#);
    let tab = Dialect { delimiter: b'\t', ..Dialect::default() };
    let row = written(&(vec![1u8, 2], 3u8), |view, out| {
        write_csv_as::<(Vec<u8>, u8)>(view, &tab, out);
    });
    assert_eq!(row, "[1,2]\t3");
}

#[test]
fn structs_are_objects() {
    let mut out = Vec::new();
    let mut json = json::Json::new(&mut out, Floats::Refuse);
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

/// Reads a record from JSON.
fn read<R: Record>(text: &str) -> Result<R, String> {
    let draft = serde_json::from_str::<R::Draft<'_>>(text);
    let own = |draft: R::Draft<'_>| R::own(R::view_draft(&draft));
    draft.map(own).map_err(|error| explain(const { &R::SCHEMA }, text, &error))
}

#[test]
fn the_tuple_that_is_the_record_is_an_object_and_any_other_an_array() {
    type Joined = ((String, u8), (Option<u64>, Vec<(char, f64)>));
    let joined: Joined = (("a".into(), 1), (None, vec![('x', 0.5), ('y', 2.0)]));
    let text = r#"{"key":["a",1],"value":[null,[["x",0.5],["y",2.0]]]}"#;
    assert_eq!(json_of(&joined), text);
    assert_eq!(read::<Joined>(text), Ok(joined.clone()));
    // In any order, with names that are not known, and as an array.
    let other = r#"{"more":[1],"value":[null,[["x",0.5],["y",2]]],"key":["a",1]}"#;
    assert_eq!(read::<Joined>(other), Ok(joined.clone()));
    assert_eq!(read::<Joined>(r#"[["a",1],[null,[["x",0.5],["y",2]]]]"#), Ok(joined));
    assert_eq!(json_of(&(7u8,)), r#"{"_0":7}"#);
    assert_eq!(read::<(u8,)>(r#"{"_0":7}"#), Ok((7,)));
    assert_eq!(json_of(&Some((1u8, 2u8))), r#"{"key":1,"value":2}"#);
    assert_eq!(read::<(u8, Option<u8>)>(r#"{"key":1}"#), Ok((1, None)));
}

#[test]
fn what_is_no_record_is_explained_by_type_path_line_and_column() {
    type Pair = (String, Vec<(u8, f32)>);
    for (text, why) in [
        (
            "{\"key\":\"a\"}",
            "not a `(str, Vec<(u8, f32)>)`: `value`: the field is missing at line 1",
        ),
        (
            "{\"key\":\"a\",\"value\":[],\"key\":\"b\"}",
            "`key`: the field occurs twice at line 1 column 27",
        ),
        (
            "[\"a\",[[1,2],\n [256,2]]]",
            "`[1][1][0]`: invalid value: integer `256`, expected a number (`u8`) at line 2 column",
        ),
        (
            "{\"key\":\"a\",\"value\":[[1,1e300]]}",
            "`value[0][1]`: the number 1e300 is out of range, expected a number (`f32`)",
        ),
        ("[\"a\",[[1,1e400]]]", "`[1][0][1]`: number out of range"),
        ("[\"a\",[[1,\"NaN\"]]]", "only with `floats=string` in the source's URL"),
        ("[\"a\",[[1]]]", "invalid length 1, expected an array of 2 parts"),
        ("[\"a\",[],3]", "more than 2 parts"),
        ("[\"\\ud800\",[]]", "`[0]`: "),
        ("[null,[]]", "`[0]`: `null`, expected a string at line 1"),
        ("{\"key\":{},\"value\":[]}", "`key`: an object, expected a string at line 1"),
        ("{\"key\":\"a\",\"val", "EOF while parsing a string at line 1 column 15"),
        ("[\"a\",[]] x", "trailing characters at line 1 column 10"),
        ("[1.5,[]]", "the number 1.5, expected a string"),
    ] {
        let error = read::<Pair>(text).unwrap_err();
        assert!(error.contains(why), "{text}: {error}");
        assert!(error.starts_with("not a `(str, Vec<(u8, f32)>)`: "), "{error}");
        assert_eq!(error.matches(" at line ").count(), 1, "{error}");
    }
    let long = format!("[{:?},[]]", "x".repeat(10_000));
    let error = read::<(u8, Vec<u8>)>(&long).unwrap_err();
    assert!(error.len() < 500 && error.contains("… at line 1"), "{error}");
}

#[test]
fn a_list_of_named_pairs_is_read_from_an_object_too() {
    type Tags = (u8, Vec<(String, Vec<(char, u64)>)>);
    let tags = |items: &[(&str, &[(char, u64)])]| -> Tags {
        (1, items.iter().map(|(name, of)| ((*name).to_owned(), of.to_vec())).collect())
    };
    let expected = tags(&[("a\n", &[('x', 1), ('y', 2)]), ("", &[]), ("a\n", &[('é', 3)])]);
    let object = r#"{"key":1,"value":{"a\n":{"x":1,"y":2},"":{},"a\n":{"é":3}}}"#;
    assert_eq!(read::<Tags>(object), Ok(expected.clone()));
    assert_eq!(read::<Tags>(&json_of(&expected)), Ok(expected));
    assert_eq!(read::<Tags>(r#"{"key":1,"value":{}}"#), Ok(tags(&[])));
    for (text, why) in [
        (
            r#"{"key":1,"value":{"a":{"x":1,"y":-2}}}"#,
            "`value[\"a\"][\"y\"]`: invalid value: integer `-2`",
        ),
        (
            r#"{"key":1,"value":{"a":{"xy":1}}}"#,
            "`value[\"a\"][\"xy\"]`: invalid value: string \"xy\"",
        ),
        (r#"{"key":1,"value":{"a":1}}"#, "`value[\"a\"]`: "),
        (r#"{"key":1,"value":{"a":{"x":1"#, "EOF while parsing"),
    ] {
        let error = read::<Tags>(text).unwrap_err();
        assert!(error.contains(why), "{text}: {error}");
    }
    // Names are texts: an object is no list of pairs of other keys, or of anything else.
    assert!(read::<Vec<(u8, u8)>>(r#"{"1":1}"#).is_err());
    assert!(read::<Vec<u8>>("{}").is_err());
    assert_eq!(read::<Vec<(String, Option<u8>)>>(r#"{"a":null}"#), Ok(vec![("a".into(), None)]));
}

#[test]
fn all_missing_fields_are_named() {
    let error = read::<(u8, Option<u8>, u8)>(r#"{"_3":1}"#).unwrap_err();
    assert!(error.contains(": the fields `_0`, `_2` are missing at line 1"), "{error}");
}

#[test]
fn no_number_becomes_another() {
    assert!(read::<u64>("18446744073709551616").is_err());
    assert_eq!(read::<u64>("18446744073709551615"), Ok(u64::MAX));
    assert_eq!(read::<i64>("-9223372036854775808"), Ok(i64::MIN));
    for text in ["-9223372036854775809", "1.0", "1e2", "\"1\""] {
        assert!(read::<i64>(text).is_err(), "{text}");
    }
    assert!(read::<f32>("1e39").is_err() && read::<f32>("-1e39").is_err());
    assert_eq!(read::<f32>("3.4028235e38"), Ok(f32::MAX));
    assert!(read::<f64>("1e309").is_err());
    assert_eq!(read::<f64>("5e-324"), Ok(5e-324));
    assert_eq!(read::<f64>("9007199254740993"), Ok(9_007_199_254_740_992.0));
    assert_eq!(read::<f64>("-0").map(f64::to_bits), Ok((-0.0f64).to_bits()));
}

#[test]
fn a_header_names_every_column() {
    const PLACE: Schema = Schema::Struct {
        name: "Place",
        fields: &[
            Field::new("city", Schema::Scalar("str")),
            Field::new("at", Schema::Tuple(&[f64::SCHEMA, f64::SCHEMA])),
        ],
    };
    const VIEW: Schema = Schema::Struct {
        name: "View",
        fields: &[
            Field::new("url", Schema::Scalar("str")),
            Field::new("tags", Schema::List(&PLACE)),
            Field::new("place", Schema::Option(&PLACE)),
            Field::new("user", Schema::Scalar("u64")),
        ],
    };
    let header = |schema: &Schema| {
        let mut out = Vec::new();
        write_csv_header(schema, &Dialect::default(), &mut out);
        String::from_utf8(out).unwrap()
    };
    assert_eq!(header(&VIEW), "url,tags,place.city,place.at.0,place.at.1,user");
    assert_eq!(header(&VIEW).split(',').count(), VIEW.columns());
    assert_eq!(header(&<(String, u64)>::SCHEMA), "key,value");
    assert_eq!(
        header(&Schema::Struct { name: "S", fields: const { &[Field::new("a,b", u8::SCHEMA)] } }),
        "\"a,b\""
    );
}

#[test]
fn what_would_be_read_as_something_else_is_in_quotes() {
    let written = |record: (Option<String>, Option<f64>), dialect: &Dialect| {
        let mut out = Vec::new();
        write_csv_as::<(Option<String>, Option<f64>)>(record.view(), dialect, &mut out);
        String::from_utf8(out).unwrap()
    };
    let plain = |text: &str| written((Some(text.to_owned()), None), &Dialect::default());
    assert_eq!(plain(""), "\"\",");
    assert_eq!(plain("#a"), "\"#a\",");
    assert_eq!(plain("\u{feff}a"), "\"\u{feff}a\",");
    assert_eq!(plain(" a "), " a ,");
    assert_eq!(plain("a\rb"), "\"a\rb\",");
    let (quote, null) = (Some(b'\''), Null::new("NaN").unwrap());
    let other = Dialect { delimiter: b'\t', quote, comment: Some(b';'), null };
    let text = |text: &str, float| written((Some(text.to_owned()), float), &other);
    assert_eq!(text("a,\"b\"", Some(0.5)), "a,\"b\"\t0.5");
    assert_eq!(text("it's\t", None), "'it''s\t'\tNaN");
    assert_eq!(text("NaN", Some(f64::NAN)), "'NaN'\t'NaN'");
    assert_eq!(text(";a", None), "';a'\tNaN");
    assert_eq!(written((None, None), &other), "NaN\tNaN");
}
