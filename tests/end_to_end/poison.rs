//! Records that make a function panic: the job stops with the same error on every start or, if its source
//! says so, treats them as dead letters and otherwise behaves as without them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::job::{Ended, Job, shell};
use crate::published::Published;

/// 3000 lines, of which 7 are not numbers.
fn input(dir: &Path) -> String {
    let line = |n: u64| if n % 450 == 17 { format!("no number {n}\n") } else { format!("{n}\n") };
    fs::write(dir.join("lines.txt"), (0..3000).map(line).collect::<String>())
        .expect("there is room");
    format!("{}?batch_records=400", dir.join("lines.txt").display())
}

fn job(dir: &Path, source: &str, args: &[&str]) -> Ended {
    let job = Job::example("panics").source("lines", source).args(args).args(["--log", "json"]);
    let job = job.files("numbers", "text", &dir.join("numbers"));
    let job = job.files("sum", "text", &dir.join("sum"));
    job.files("lines.dead", "json", &dir.join("dead")).args(["--summary", "json"]).run()
}

/// The first event of a name.
fn event(done: &Ended, name: &str) -> Option<Value> {
    let parsed = done.err.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    parsed.into_iter().find(|event| event["event"] == name)
}

#[track_caller]
fn assert_without_poison(dir: &Path) {
    let good = shell(dir, "grep -v no lines.txt");
    assert_eq!(Published::read(&dir.join("numbers")).lines(), good.lines().collect::<Vec<_>>());
    let sums: u64 = Published::read(&dir.join("sum")).lines().iter().map(|n| number(n)).sum();
    let sum = shell(dir, "grep -v no lines.txt | awk '{ sum += $1 } END { print sum }'");
    assert_eq!(sums, number(sum.trim()));
    let dead = Published::read(&dir.join("dead"));
    let letter = |line: &&str| {
        let letter: Value = serde_json::from_str(line).expect("it is JSON");
        let reason = letter["reason"].as_str().expect("it has one");
        assert!(reason.starts_with("panicked: every line is a number"), "{reason}");
        format!("{}:{}\n", letter["position"], letter["text"].as_str().expect("it has one"))
    };
    let dead: String = dead.lines().iter().map(letter).collect();
    assert_eq!(dead, shell(dir, "grep -b no lines.txt"));
}

fn number(text: &str) -> u64 {
    text.parse().expect("it is a number")
}

#[test]
fn they_become_dead_letters() {
    let mut results = BTreeMap::new();
    for workers in ["0", "1", "2"] {
        let dir = tempfile::tempdir().expect("a directory");
        let source = format!("{}&on_panic=dead_letter", input(dir.path()));
        let done = job(dir.path(), &source, &["--workers", workers]).code(0);
        assert_eq!(done.summary()["sources"][0]["dead_letters"], 7, "{}", done.said());
        assert_eq!(done.summary()["sources"][0]["records"], 2993);
        assert_without_poison(dir.path());
        results.insert(workers, Published::read(&dir.path().join("sum")));
    }
    assert!(results.values().all(|result| *result == results["0"]));
}

#[test]
fn a_poisoned_batch_stops_the_job_again_and_again_until_it_is_started_otherwise() {
    let dir = tempfile::tempdir().expect("a directory");
    let source = input(dir.path());
    let state = dir.path().join("state").display().to_string();
    let cluster = ["--workers", "2", "--checkpoint", "50ms", "--state", &state];
    for start in 1..=3 {
        let done = job(dir.path(), &source, &cluster).code(1);
        let done = done.says(&["batch 1 (", "after 3 attempts", "every line is a number"]);
        // The first that `grep -b no` finds.
        let done = done.says(&["the record, at ", "lines.txt:41: ", "no number 17"]);
        let done = done.says(&["`on_panic=dead_letter` in the URL of source `lines`", "--state"]);
        assert_eq!(event(&done, "resumed").is_some(), start > 1, "{}", done.said());
    }
    assert!(!dir.path().join("numbers/1000").exists(), "the first batch is poisoned");
    let tolerant = format!("{source}&on_panic=dead_letter");
    let done = job(dir.path(), &tolerant, &cluster).code(0);
    assert!(event(&done, "resumed").is_some(), "{}", done.said());
    assert_without_poison(dir.path());
}
