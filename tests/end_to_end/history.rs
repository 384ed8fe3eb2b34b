//! Operators over time on inputs without time: refused before anything is read or written, with a cure that
//! works.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::path::Path;

use rustix::process::Signal;

use crate::job::{Job, shell};
use crate::published::Published;

/// A directory with a `name.txt` of these lines for each name.
fn dir_with(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    for (name, text) in files {
        fs::write(dir.path().join(name), text).expect("there is room");
    }
    dir
}

fn audit(dir: &Path, job: &str) -> Job {
    Job::example("audit").current_dir(dir).args(["--job", job])
}

/// Numbers from 0, one per line.
fn numbers(lines: usize) -> String {
    (0..lines).map(|n| format!("{n}\n")).collect()
}

/// `spans` with one output in files.
fn spans(dir: &Path, timed: &str, other: &str, output: &str) -> Job {
    let job = audit(dir, "spans").source("timed", timed).source("other", other);
    job.files(output, "text", &dir.join("out"))
}

#[test]
fn a_window_over_history_is_refused_before_anything_is_read_or_written() {
    let dir = dir_with(&[("a.txt", &numbers(100)), ("b.txt", "x\n")]);
    shell(dir.path(), "gzip -k a.txt; mkdir logs; cp a.txt logs/1.txt; cp b.txt logs/2.txt");
    let made = "generate://words?records=1000&words=9";
    let capped = format!("{made}&rate=100&batch_records=10");
    let sources =
        ["a.txt", "a.txt.gz", "logs", "logs/*.txt", "a.txt?batch_records=10", made, &capped];
    for source in sources {
        for (output, operator, length) in
            [("second", "count_by_window", "1s"), ("minute", "window", "1m")]
        {
            let done = spans(dir.path(), source, "b.txt", output).run().code(2);
            let done = done.says(&[
                "error: `",
                &format!("({operator}, tests/jobs/audit.rs:"),
                &format!("a window of {length} "),
                &format!("source `timed` (`{source}`)"),
                "windows=batches'",
                "read a live source",
            ]);
            assert!(!dir.path().join("out").exists(), "{}", done.said());
        }
    }
}

#[test]
fn a_source_that_no_window_depends_on_and_a_window_that_is_not_seen_are_fine() {
    let dir = dir_with(&[("a.txt", &numbers(100)), ("b.txt", &numbers(7))]);
    spans(dir.path(), "a.txt", "b.txt?batch_records=3", "plain").run().code(0);
    assert_eq!(Published::read(&dir.path().join("out")).lines(), ["3", "3", "1"]);
    // As in the README: the window of `word_count` goes to `none:` unless bound.
    let job = Job::example("word_count").current_dir(dir.path()).source("lines", "a.txt");
    job.files("counts", "text", &dir.path().join("counts")).run().code(0);
    assert_eq!(Published::read(&dir.path().join("counts")).lines().len(), 100);
    let job = Job::example("word_count").current_dir(dir.path()).source("lines", "a.txt");
    job.sink("windowed", "stdout:").run().code(2).says(&["`windowed`", "30s", "word_count.rs:"]);
}

#[test]
fn batches_that_are_called_intervals_are_counted_by_windows() {
    let dir = dir_with(&[("a.txt", &numbers(95)), ("b.txt", "x\n")]);
    let source = "a.txt?batch_records=10&windows=batches";
    spans(dir.path(), source, "b.txt", "second").run().code(0);
    // One window per batch.
    let counts = Published::read(&dir.path().join("out"));
    assert_eq!(counts.lines(), ["10"; 9].into_iter().chain(["5"]).collect::<Vec<_>>());
    fs::remove_dir_all(dir.path().join("out")).expect("it is there");
    // A generator with a rate has time: a batch is a second's input.
    let made = "generate://words?records=35&rate=10";
    spans(dir.path(), made, "b.txt", "second").run().code(0);
    assert_eq!(Published::read(&dir.path().join("out")).lines(), ["10", "10", "10", "5"]);
}

#[test]
fn batches_are_called_intervals_only_where_that_says_something() {
    let dir = dir_with(&[("a.txt", "x\n")]);
    let cases = [
        ("a.txt?windows=batches", "say how much that is"),
        ("a.txt?batch_records=1&windows=5m", "expected `batches`"),
        ("a.txt?follow&batch_records=1&windows=batches", "is read to its end"),
        ("a.txt?follow&join=batch", "is read to its end"),
        ("generate://words?rate=5&join=batch", "is read to its end"),
        ("a.txt?join=always", "expected `batch`"),
        ("tcp://127.0.0.1:0?windows=batches", "unknown option `windows`"),
    ];
    for (source, why) in cases {
        spans(dir.path(), source, "a.txt", "plain").run().code(2).says(&[why]);
    }
}

/// `pairs` with both outputs in files.
fn pairs(dir: &Path, left: &str, right: &str) -> Job {
    let job = audit(dir, "pairs").source("left", left).source("right", right);
    job.files("both", "json", &dir.join("both")).files("all", "text", &dir.join("all"))
}

/// The pairs found by coreutils' `join` of the two sorted files.
fn joined(dir: &Path) -> usize {
    shell(dir, "sort left.txt > l; sort right.txt > r; join l r | wc -l").trim().parse().expect("")
}

fn both_sides() -> tempfile::TempDir {
    // Some keys occur twice on one side.
    let right: String = (0..900).map(|n| format!("{}\n", n * 7 % 600)).collect();
    dir_with(&[("left.txt", &numbers(1000)), ("right.txt", &right)])
}

#[test]
fn two_histories_are_joined_whole_or_not_at_all() {
    let dir = both_sides();
    pairs(dir.path(), "left.txt", "right.txt").run().code(0);
    let found = Published::read(&dir.path().join("both")).lines().len();
    assert_eq!(found, joined(dir.path()));
    assert_eq!(Published::read(&dir.path().join("all")).lines().len(), 1900);
    for (left, right) in [
        ("left.txt?batch_records=999", "right.txt"),
        ("left.txt", "right.txt?batch=100"),
        ("left.txt?batch_records=500", "right.txt?batch_records=450"),
    ] {
        for workers in ["0", "2"] {
            let dir = both_sides();
            let done = pairs(dir.path(), left, right).args(["--workers", workers]).run().code(2);
            let done =
                done.says(&["`both` (join, tests/jobs/audit.rs:", "`batch=1TiB`", "join=batch'"]);
            let published = fs::read_dir(dir.path().join("both")).map_or(0, Iterator::count);
            assert_eq!(published, 0, "{}", done.said());
        }
    }
    // The same with only the union as output.
    let dir = both_sides();
    let job = audit(dir.path(), "pairs").source("left", "left.txt?batch_records=9");
    let job = job.source("right", "right.txt").files("all", "text", &dir.path().join("all"));
    job.run().code(0);
    assert_eq!(Published::read(&dir.path().join("all")).lines().len(), 1900);
}

#[test]
fn pairs_within_batches_are_found_where_they_are_asked_for() {
    let dir = both_sides();
    let left = "left.txt?batch_records=500&join=batch";
    pairs(dir.path(), left, "right.txt?batch_records=450").run().code(0);
    let script = "split -l 500 left.txt l.; split -l 450 right.txt r.
        for half in aa ab; do sort l.$half > l; sort r.$half > r; join l r; done | wc -l";
    let expected: usize = shell(dir.path(), script).trim().parse().expect("a number");
    let found = Published::read(&dir.path().join("both")).lines().len();
    assert!(found == expected && found < joined(dir.path()), "{found} and {expected}");
}

#[test]
fn a_history_is_joined_with_itself_whole() {
    let text: String =
        (0..300).map(|n| format!("{}{n}\n", if n % 3 == 0 { "a" } else { "b" })).collect();
    let dir = dir_with(&[("lines.txt", &text)]);
    let run = |options: &str| {
        let source = format!("lines.txt{options}");
        let job = audit(dir.path(), "selves").source("lines", source);
        job.files("both", "json", &dir.path().join("out")).run()
    };
    run("?batch_records=100").code(2).says(&["`both` (join, ", "source `lines`"]);
    run("?batch_records=300").code(0);
    let mut lengths = BTreeMap::<usize, (usize, usize)>::new();
    for line in text.lines() {
        let (a, all) = lengths.entry(line.len()).or_default();
        *a += usize::from(line.starts_with('a'));
        *all += 1;
    }
    let expected: usize = lengths.values().map(|(a, all)| a * all).sum();
    assert_eq!(Published::read(&dir.path().join("out")).lines().len(), expected);
}

#[test]
fn a_history_is_not_joined_with_a_live_stream_unless_that_is_asked_for() {
    let dir = both_sides();
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = free.local_addr().expect("it has one");
    drop(free);
    let live = format!("tcp://{address}");
    for (left, right, table, stream) in
        [("left.txt", live.as_str(), "left", "right"), (&live, "right.txt", "right", "left")]
    {
        let done = pairs(dir.path(), left, right).run().code(2).says(&[
            "`both` (join, tests/jobs/audit.rs:",
            &format!("source `{table}`"),
            &format!("give `{stream}` an input that is read to its end"),
            &format!("`let {table} = table::…`"),
            &format!("--source '{table}={table}.txt?join=batch'"),
        ]);
        assert!(!dir.path().join("both").exists(), "{}", done.said());
    }
    // A generator with a rate is like a live source.
    let made = "generate://words?records=100&rate=10";
    pairs(dir.path(), "left.txt", made).run().code(2).says(&["`both` (join, "]);
    // Allowed for a union.
    let asked = pairs(dir.path(), "left.txt?join=batch", "tcp://127.0.0.1:0");
    let mut job = asked.args(["--log", "json"]).start();
    job.event("batch");
    job.signal(Signal::TERM);
    job.end().code(0);
    let job = audit(dir.path(), "pairs").source("left", "left.txt");
    let job = job.source("right", "tcp://127.0.0.1:0").sink("all", "stdout:");
    let mut job = job.args(["--log", "json"]).start();
    job.wait("all of the file", |job| job.out.len() == 1000);
    job.signal(Signal::TERM);
    job.end().code(0);
}
