//! Standard output and standard error: readers may stop, and everything written is parseable.

use std::fs;
use std::io::{BufRead, BufReader};

use serde_json::Value;

use crate::job::Job;
use crate::published::Published;

#[test]
fn a_reader_that_goes_ends_the_job() {
    let cases = [
        ("top_k_count", "top", None, "generate://words?rate=1000"),
        ("grep", "matches", Some("stdout:"), "generate://words?rate=1000000"),
        (
            "word_count",
            "counts",
            Some("json+stdout:"),
            "generate://words?records=100000000&batch_records=5000",
        ),
    ];
    for (name, output, sink, source) in cases {
        let job = Job::example(name).source("lines", format_args!("{source}&words=50")).unread();
        let job = match sink {
            Some(url) => job.sink(output, url),
            None => job,
        };
        let mut job = job.start();
        let mut reader = BufReader::new(job.take_stdout());
        let mut line = String::new();
        reader.read_line(&mut line).expect("it writes");
        assert!(!line.is_empty());
        drop(reader);
        let done = job.end().code(0);
        assert!(done.err.iter().all(|line| !line.contains("error")), "{}", done.said());
    }
}

#[test]
fn a_reader_that_goes_does_not_end_other_outputs() {
    let dir = tempfile::tempdir().expect("a directory");
    // Every second line is no text.
    let text = (0..20_000).flat_map(|n| [format!("{n} a\n").into_bytes(), b"\xff\n".to_vec()]);
    fs::write(dir.path().join("lines"), text.collect::<Vec<_>>().concat()).expect("there is room");
    let source = format!("file://{}/lines?batch_records=1000", dir.path().display());
    let job =
        Job::example("grep").args(["--pattern", "a", "--log", "json"]).source("lines", source);
    let job = job.files("lines.dead", "json", &dir.path().join("dead")).sink("matches", "stdout:");
    let mut job = job.unread().start();
    let mut reader = BufReader::new(job.take_stdout());
    let mut line = String::new();
    reader.read_line(&mut line).expect("it writes");
    drop(reader);
    let done = job.end().code(0).says(&["closed by its reader", "with its other outputs"]);
    assert_eq!(done.err.iter().filter(|line| line.contains("closed by its reader")).count(), 1);
    assert_eq!(Published::read(&dir.path().join("dead")).lines().len(), 20_000);
    let summary = done.err.iter().find(|line| line.contains("\"summary\"")).expect("it is said");
    let summary: Value = serde_json::from_str(summary).expect("it is JSON");
    let outputs = &summary["summary"]["outputs"];
    assert_eq!((&outputs[0]["name"], &outputs[0]["closed"]), (&"matches".into(), &true.into()));
    assert!(outputs[0]["records"].as_u64() < Some(20_000), "{outputs}");
    assert_eq!((&outputs[1]["records"], &outputs[1]["closed"]), (&20_000.into(), &Value::Null));
}

#[test]
fn two_outputs_in_one_directory_are_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("lines"), "a\n").expect("there is room");
    fs::create_dir(dir.path().join("there")).expect("there is room");
    std::os::unix::fs::symlink("there", dir.path().join("link")).expect("there is room");
    let at = dir.path().display();
    for (one, other) in [
        ("out".to_owned(), "out".to_owned()),
        ("out/".to_owned(), format!("{at}/x/../out/.")),
        ("there".to_owned(), "link".to_owned()),
        ("link/new".to_owned(), "./there/new".to_owned()),
    ] {
        let job = Job::example("grep").args(["--pattern", "a"]).source("lines", "lines");
        let job = job.sink("matches", format_args!("text+file://{one}"));
        let job = job.sink("lines.dead", format_args!("json+file://{other}"));
        let done = job.current_dir(dir.path()).run().code(2);
        done.says(&["`matches`", "`lines.dead`", "the same directory", "a directory of its own"]);
        assert!(!dir.path().join("out").exists(), "nothing is made");
    }
}

#[test]
fn the_summary_is_the_last_line() {
    let words = "generate://words?records=1000&words=9&batch_records=1000&windows=batches";
    let job = Job::example("top_k_count").source("lines", words);
    let done = job.args(["--summary", "json", "--k", "3"]).run().code(0);
    assert_eq!(done.out.len(), 5, "the top was printed before: {}", done.said());
    let summary = done.summary();
    assert_eq!(summary["job"], "top_k_count");
    assert_eq!((&summary["records"], &summary["batches"]), (&Value::from(1000), &Value::from(1)));
    assert_eq!(summary["sources"][0]["name"], "lines");
    assert_eq!(summary["outputs"][0]["name"], "top");
    assert_eq!(summary["outputs"][0]["records"], 3);
    assert!(summary["elapsed"].is_f64() && summary["latency"].is_null(), "{summary}");
}

/// The events of a log whose every line must be JSON.
fn events(lines: &[String]) -> Vec<String> {
    let event = |line: &String| {
        let value: Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        value["event"].as_str().unwrap_or_else(|| panic!("{line}")).to_owned()
    };
    lines.iter().map(event).collect()
}

#[test]
fn every_line_of_a_json_log_is_json() {
    let job = |source: &str| {
        let job = Job::example("page_views").source("views", source);
        job.args(["--log", "json"])
    };
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("views.json");
    std::fs::write(&path, "{}\n{\"url\":\"/\",\"user\":1}\n\"\n").expect("there is room");
    let path = path.display();
    let done = job(&path.to_string()).run().code(0);
    assert_eq!(events(&done.err), ["start", "dead_letter", "dead_letter", "batch", "summary"]);
    let last: Value = serde_json::from_str(&done.err[4]).expect("it is JSON");
    assert_eq!(last["summary"]["sources"][0]["dead_letters"], 2);

    let done = job(&format!("{path}?on_error=stop")).run().code(1);
    assert_eq!(events(&done.err).last().map(String::as_str), Some("error"));
    let done = job("missing.json").run().code(1);
    assert_eq!(events(&done.err), ["error"]);
}

#[test]
fn a_different_published_batch_is_explained_by_its_origin() {
    let dir = tempfile::tempdir().expect("a directory");
    let text = "one a\ntwo b\nthree a\n";
    fs::write(dir.path().join("lines.txt"), text).expect("there is room");
    let out = dir.path().join("out");
    let grep = |pattern: &str| {
        let job = Job::example("grep").source("lines", dir.path().join("lines.txt").display());
        job.files("matches", "text", &out).args(["--pattern", pattern]).run()
    };
    grep("a").code(0);
    // The pattern is a parameter, so the plan is the same.
    let done = grep("b").code(1);
    done.says(&[
        "output `matches`: ",
        "examples/grep.rs:",
        "not deterministic",
        "other parameters",
    ]);
    let manifest = out.join("1000/_manifest.json");
    let there = fs::read_to_string(&manifest).expect("it is published");
    let of_other = there.replace("\"plan\":\"", "\"plan\":\"0");
    fs::write(&manifest, of_other).expect("there is room");
    grep("b").code(1).says(&["did not take batch 1000 ms", "by another program", "another place"]);
    fs::write(&manifest, there).expect("there is room");
    fs::write(dir.path().join("lines.txt"), format!("{text}four b\n")).expect("there is room");
    grep("a").code(0);
    grep("b").code(1).says(&["did not take batch 1000 ms", "from other input", "another place"]);
}
