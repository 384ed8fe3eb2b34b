//! Records from JSON: by the names of their fields, with reasons in the program's terms.

use dstream::prelude::*;
use dstream::testing::Run;

use crate::{Tested, every};

/// Where something is.
#[derive(Record, Debug, Clone, PartialEq)]
struct Place {
    city: String,
    at: (f64, f32),
}

/// A visit.
#[derive(Record, Debug, Clone, PartialEq)]
struct Visit {
    user: u8,
    place: Place,
    #[record(rename = "type")]
    kind: Option<String>,
    more: Vec<Place>,
}

#[dstream::job]
fn visits() {
    let visits = source::json::<Visit>("none");
    let same = visits.map(|visit| visit);
    let pairs = visits.map(|visit| (visit.user, (visit.place, visit.kind)));
    same.save("none:");
    pairs.save("none:");
}

fn visit(user: u8, city: &str) -> Visit {
    let place = Place { city: city.to_owned(), at: (0.5, -1.25) };
    Visit { user, more: vec![place.clone()], place, kind: None }
}

#[test]
fn what_is_written_is_read_back() -> Tested {
    let all = vec![visit(1, "Ulm"), visit(2, "\u{0}\u{7f}\u{2028}\"\\/\u{1f600}")];
    every(|partitions| {
        let done = Run::new(visits).input("visits", [all.clone()]).partitions(partitions).run()?;
        assert_eq!(done.sorted::<Visit>("same", 1)?, all);
        let pairs: Vec<_> =
            all.iter().map(|v| (v.user, (v.place.clone(), v.kind.clone()))).collect();
        assert_eq!(done.sorted::<(u8, (Place, Option<String>))>("pairs", 1)?, pairs);
        let lines = done.lines("pairs", 1)?;
        assert!(
            lines.contains(
                &r#"{"key":1,"value":[{"city":"Ulm","at":[0.5,-1.25]},null]}"#.to_owned()
            )
        );
        Ok(())
    })
}

#[test]
fn reasons_name_the_type_the_path_and_the_place() -> Tested {
    let cases = [
        (
            r#"[1,{"city":"Ulm","at":[1,2]},null,[]]"#,
            "not a `Visit`: an array, expected an object with the fields of `Visit` at line 1 column 1",
        ),
        (
            r#"{"user":1,"place":["Ulm",[1,2]],"more":[]}"#,
            "not a `Visit`: `place`: an array, expected an object with the fields of `Place` at line 1 column 19",
        ),
        (
            r#"{"user":1,"place":{"at":[1,2]},"more":[]}"#,
            "not a `Visit`: `place.city`: the field is missing at line 1 column 30",
        ),
        (
            r#"{"user":1,"place":{"city":"Ulm","at":[1,2]},"more":[{"city":"x","at":[1,"y"]}]}"#,
            "not a `Visit`: `more[0].at[1]`: invalid type: string \"y\", expected a number (`f32`)",
        ),
        (
            r#"{"user":256,"place":{"city":"Ulm","at":[1,2]},"more":[]}"#,
            "`user`: invalid value: integer `256`, expected a number (`u8`)",
        ),
        (
            r#"{"user":1,"place":{"city":"Ulm","at":[1,1e39]},"more":[]}"#,
            "`place.at[1]`: the number 1e39 is out of range",
        ),
        (
            r#"{"user":1,"user":2,"place":{"city":"Ulm","at":[1,2]},"more":[]}"#,
            "`user`: the field occurs twice",
        ),
        (r#"{"user":1,"place":{"city":"\ud800","at":[1,2]},"more":[]}"#, "`place.city`: "),
        (
            r#"{"user":1,"place":{"city":"Ulm","at":[1,2]},"more":[],"type":7}"#,
            "`type`: invalid type: integer `7`, expected a string",
        ),
        (r#"{"user":1,"pla"#, "not a `Visit`: EOF while parsing a string at line 1 column 14"),
        ("null", "not a `Visit`: `null`, expected an object with the fields of `Visit`"),
        (r#""Visit""#, "not a `Visit`: invalid type: string \"Visit\", expected an object"),
    ];
    // Unknown fields are ignored with any content; an absent optional field is `None`.
    let good = r#"{"x":[[{"y":"\ud800"}]],"more":[],"place":{"at":[0.5,-1.25],"z":1,"city":"Ulm"},"user":1}"#;
    let text: String = cases.iter().flat_map(|(line, _)| [line, "\n", good, "\n"]).collect();
    every(|partitions| {
        let done = Run::new(visits).raw("visits", [text.clone()]).partitions(partitions).run()?;
        let read = done.records::<Visit>("same", 1)?;
        assert_eq!(read, vec![Visit { more: Vec::new(), ..visit(1, "Ulm") }; cases.len()]);
        let dead = done.dead_letters("visits")?;
        assert_eq!(dead.len(), cases.len());
        for (letter, (line, why)) in dead.iter().zip(cases) {
            assert!(letter.reason.contains(why), "{line}: {}", letter.reason);
            assert!(!letter.reason.contains("Draft"), "{}", letter.reason);
        }
        Ok(())
    })
}

#[dstream::job]
fn ratios() {
    let pairs = source::json::<(f64, f64)>("none?floats=string");
    let ratios = pairs.map(|(a, b)| a / b);
    ratios.save("none:");
}

#[test]
fn floats_without_a_number_stay_what_they_are() -> Tested {
    let text = "[1,0]\n[\"-Infinity\",2]\n[0,0]\n[\"nan\",1]\n[\"Infinity\",\"NaN\"]\n[1,4]\n";
    let done = Run::new(ratios).raw("pairs", [text]).partitions(1).run()?;
    let (nan, others): (Vec<f64>, Vec<f64>) =
        done.records("ratios", 1)?.into_iter().partition(|ratio: &f64| ratio.is_nan());
    assert_eq!(nan.len(), 2);
    assert_eq!(others, [f64::INFINITY, f64::NEG_INFINITY, 0.25]);
    let dead = done.dead_letters("pairs")?;
    assert_eq!(dead.len(), 1);
    assert!(dead[0].reason.contains("string \"nan\""), "{}", dead[0].reason);
    Ok(())
}
