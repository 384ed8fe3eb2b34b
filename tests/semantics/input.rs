//! Records that cannot be parsed.

use dstream::prelude::*;
use dstream::testing::Run;

use crate::{Tested, every};

/// A reading.
#[derive(Record, Debug, Clone, PartialEq)]
struct Reading {
    sensor: String,
    value: i32,
    note: Option<String>,
}

#[dstream::job]
fn readings() {
    let json = source::json::<Reading>("none");
    let csv = source::csv::<Reading>("none");
    let text = source::text("none");
    let all = json.union(csv);
    let sensors = all.map(|r| (r.sensor, r.value)).reduce_by_key(|a, b| a + b);
    let lines = text.map(|line| line.len() as u64);
    all.save("none:");
    sensors.save("none:");
    lines.save("none:");
}

#[test]
fn what_cannot_be_parsed_is_a_dead_letter_and_the_rest_goes_on() -> Tested {
    every(|partitions| {
        let json = "{\"sensor\":\"a\",\"value\":1}\n{\"sensor\":\"b\",\"value\":\"x\"}\nnonsense\n\
                    {\"sensor\":\"a\\n\",\"value\":-4,\"note\":\"n\"}\n";
        let csv = "s,5,\n\"q,1\",6,\"say \"\"hi\"\"\"\ns,five,\ns\n";
        let done = Run::new(readings)
            .raw("json", [json])
            .raw("csv", [csv])
            .raw("text", [&b"ok\n\xff\xfe\nfine\n"[..]])
            .partitions(partitions)
            .run()?;
        let reading = |sensor: &str, value, note: Option<&str>| Reading {
            sensor: sensor.to_owned(),
            value,
            note: note.map(str::to_owned),
        };
        assert_eq!(
            done.sorted::<Reading>("all", 1)?,
            [
                reading("a", 1, None),
                reading("a\n", -4, Some("n")),
                reading("q,1", 6, Some("say \"hi\"")),
                reading("s", 5, None),
            ]
        );
        assert_eq!(done.dead_letters("json")?.len(), 2);
        assert_eq!(done.dead_letters("csv")?.len(), 2);
        let text = done.dead_letters("text")?;
        assert_eq!(text.len(), 1);
        assert_eq!(text[0].position, 3);
        assert_eq!(done.records::<u64>("lines", 1)?, [2, 4]);
        Ok(())
    })
}

#[dstream::job]
fn stops() {
    let views = source::json::<Reading>("none?on_error=stop");
    let values = views.map(|r| r.value);
    values.save("none:");
}

#[test]
fn a_job_that_asks_for_it_stops_at_a_record_that_cannot_be_parsed() {
    let good = "{\"sensor\":\"a\",\"value\":1}\n";
    let error = Run::new(stops).raw("views", [good, "broken\n", good]).run().err();
    let message = error.map(|e| e.to_string()).unwrap_or_default();
    assert!(message.contains("broken"), "{message}");
    assert!(message.contains("views"), "{message}");
}

#[dstream::job]
fn panics() {
    let lines = source::text("none");
    let halves = lines.map(|line| 100 / line.parse::<i32>().unwrap_or(1));
    halves.save("none:");
}

#[test]
fn a_panic_stops_the_job_and_names_the_operator() {
    let error = Run::new(panics).input("lines", [vec!["5"], vec!["0"], vec!["1"]]).run().err();
    let message = error.map(|e| e.to_string()).unwrap_or_default();
    for part in ["divide by zero", "map", "halves", "input.rs:"] {
        assert!(message.contains(part), "no {part:?} in: {message}");
    }
}
