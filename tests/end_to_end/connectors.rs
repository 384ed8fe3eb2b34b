//! Sources and outputs of a program's own (`examples/sensors.rs`), in one process; on a cluster see
//! `cluster/connectors.rs`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::job::Job;

/// Files of readings, and the highest temperature of each sensor, by a simple loop.
pub(crate) fn readings(dir: &Path, files: u32, each: u32) -> BTreeMap<u32, f64> {
    let mut highest = BTreeMap::new();
    for file in 0..files {
        let mut bytes = Vec::new();
        for number in 0..each {
            // A reading stays what it is when its file grows.
            let mixed = (file * 1_000_003 + number).wrapping_mul(2_654_435_761);
            let (sensor, celsius) = (mixed >> 25, f64::from(mixed % 100_003) / 1000.0);
            bytes.extend_from_slice(&sensor.to_le_bytes());
            bytes.extend_from_slice(&celsius.to_le_bytes());
            let known = highest.entry(sensor).or_insert(celsius);
            *known = celsius.max(*known);
        }
        fs::write(dir.join(format!("{file:03}.bin")), bytes).expect("there is room");
    }
    highest
}

/// The last value of each key of rows.
pub(crate) fn last_values(rows: &[String]) -> BTreeMap<u32, f64> {
    let pair = |row: &String| {
        let (key, value) = row.split_once(',').expect("two columns");
        (key.parse().expect("a sensor"), value.parse().expect("a temperature"))
    };
    rows.iter().map(pair).collect()
}

#[test]
fn a_program_s_own_source_and_output_work_in_one_process() {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("data");
    fs::create_dir(&data).expect("a directory");
    let highest = readings(&data, 5, 4000);
    let latest = dir.path().join("latest.csv");
    let job = || {
        let job = Job::example("sensors")
            .source("readings", format_args!("readings://{}", data.display()));
        job.sink("hottest", format_args!("csv+latest://{}", latest.display()))
    };
    let done = job().sink("highest", "csv+stdout:?header=false").run().code(0);
    assert_eq!(last_values(&done.out), highest);
    // One batch held all, so the hottest of it are the hottest of all.
    let rows = fs::read_to_string(&latest).expect("it was written");
    let mut rows = rows.lines();
    assert_eq!(rows.next(), Some("key,value"));
    let mut hottest: Vec<f64> = highest.values().copied().collect();
    hottest.sort_by(|a, b| b.total_cmp(a));
    let values: Vec<f64> = rows
        .map(|row| row.split(',').nth(1).unwrap_or_default().parse().expect("a number"))
        .collect();
    assert_eq!(values, hottest[..5]);
}

#[test]
fn listings_name_what_the_binary_has() {
    let list = |verb: &str, form: &[&str]| {
        let done = Job::example("sensors").args([verb]).args(form).run().code(0);
        done.out.join("\n")
    };
    let text = list("sources", &[]);
    for part in [
        "readings://DIR",
        "sensors=N",
        "[default: 100]",
        "ends, unless `live`",
        "tcp://HOST:PORT",
        "delimiter=CHAR",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let json: serde_json::Value =
        serde_json::from_str(&list("sources", &["--json"])).expect("JSON");
    let all = json["connectors"].as_array().expect("a list");
    let own = all.iter().find(|entry| entry["scheme"] == "readings").expect("it is listed");
    assert_eq!(own["options"][0]["name"], "live");
    assert_eq!(own["options"][1]["default"], "100");
    assert!(list("sinks", &["--markdown"]).contains("`csv+latest://FILE`"));
    let help = list("--help", &[]);
    assert!(help.contains("`readings://DIR`") && help.contains("`json+latest://FILE`"), "{help}");
    // Another binary has only what is built in.
    let text = Job::example("grep").args(["sources"]).run().code(0).out.join("\n");
    assert!(text.contains("tcp://HOST:PORT") && !text.contains("readings"), "{text}");
}

#[test]
fn mistakes_in_urls_of_a_program_s_own_connectors_are_found_at_the_start() {
    let cases = [
        ("readings=reading://x", 2, "did you mean `readings`?"),
        ("readings=readings:x", 2, "write `readings://x`"),
        ("readings=readings://x?lives", 2, "did you mean `live`?"),
        ("readings=readings://x?sensors=0", 2, "`sensors=0`: expected a number of at least 1"),
        ("readings=readings://synthetic?live", 2, "no more synthetic readings"),
        ("readings=readings:///no/such/directory", 1, "cannot list /no/such/directory"),
    ];
    for (source, code, text) in cases {
        Job::example("sensors").args(["--source", source]).run().code(code).says(&[text]);
    }
    Job::example("sensors")
        .sink("hottest", "text+latest://x")
        .run()
        .code(2)
        .says(&["`csv+latest://FILE`"]);
    Job::example("sensors")
        .sink("hottest", "csv+latest:x")
        .run()
        .code(2)
        .says(&["expected `csv+latest://FILE`"]);
}
