//! Standard input and named pipes: read once, to their end, like files.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::job::{Ended, Job, binary, shell};
use crate::text;

/// A shell script in which `$JOB` is an example.
fn script(dir: &Path, example: &str, script: &str) -> Job {
    let mut bash = Command::new("bash");
    bash.args(["-euo", "pipefail", "-c", script]).env("JOB", binary(example)).env("LC_ALL", "C");
    Job::of(bash).current_dir(dir)
}

const GREP: &str = "$JOB --pattern ba --sink matches=stdout: --source";

fn dir_with_text(bytes: usize) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    text::write(&dir.path().join("text"), bytes);
    dir
}

#[test]
fn text_from_every_kind_of_pipe_is_what_grep_finds() {
    let dir = dir_with_text(3 << 20);
    let expected = shell(dir.path(), "grep ba text");
    let expected: Vec<&str> = expected.lines().collect();
    shell(dir.path(), "gzip -k text; zstd -q -k text; mkfifo fifo");
    for run in [
        format!("cat text | {GREP} lines=-"),
        format!("{GREP} lines=- < text"),
        format!("cat text | {GREP} lines=stdin:"),
        format!("cat text | {GREP} lines=/dev/stdin"),
        format!("{GREP} lines=/dev/stdin < text"),
        format!("{GREP} lines=<(cat text)"),
        format!("{GREP} lines=/dev/fd/7 7< <(cat text)"),
        format!("cat text > fifo & {GREP} lines=fifo; wait"),
        format!("cat text | {GREP} 'lines=-?batch_records=999'"),
        format!("cat text | {GREP} 'lines=-?follow' --interval 50ms"),
        format!("cat text.gz | {GREP} lines=-"),
        format!("cat text.zst | {GREP} lines=-"),
        format!("{GREP} lines=- < text.gz"),
        // A part of the file that another program has read is skipped.
        format!("{{ head -c 0; cat; }} < text | {GREP} lines=-"),
        format!("cat text | {GREP} 'lines=-?batch=64KiB' --workers 2"),
    ] {
        let done = script(dir.path(), "grep", &run).run().code(0);
        let mut out = done.out.clone();
        let mut expected = expected.clone();
        // Partitions of a batch are output in order, which may reorder lines.
        out.sort_unstable();
        expected.sort_unstable();
        assert!(out == expected, "{run}: {} of {} lines", out.len(), expected.len());
    }
}

#[test]
fn a_redirected_file_is_read_from_where_it_stands() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("text"), "ba one\nba two\nba three\n").expect("there is room");
    let read = format!("{{ read -r first; {GREP} lines=-; }} < text");
    let done = script(dir.path(), "grep", &read).run().code(0);
    assert_eq!(done.out, ["ba two", "ba three"]);
}

#[test]
fn json_and_csv() {
    let dir = tempfile::tempdir().expect("a directory");
    let views: String = (0..3000)
        .map(|n| format!("{}\n", json!({"url": format!("/{}", n % 7), "user": n})))
        .collect();
    fs::write(dir.path().join("views"), views).expect("there is room");
    let run = "cat views | $JOB --source views=- --sink counts=json+stdout:";
    let done = script(dir.path(), "page_views", run).run().code(0);
    let count =
        |line: &String| line.rsplit_once(|c: char| c.is_ascii_digit()).map(|_| line.clone());
    let all: String = done.out.iter().filter_map(count).collect::<Vec<_>>().join("\n");
    for url in 0..7 {
        let views = if url < 4 { 429 } else { 428 };
        assert!(all.contains(&format!("/{url}")) && all.contains(&views.to_string()), "{all}");
    }

    fs::write(dir.path().join("a.csv"), "customer,cents\nann,3\nbob,4\nann,5\n")
        .expect("there is room");
    fs::write(dir.path().join("b.csv"), "cents,customer\n100,ann\n").expect("there is room");
    let run =
        "cat a.csv | $JOB --source shop=- --source phone=<(cat b.csv) --sink totals=json+stdout:";
    let done = script(dir.path(), "two_sources", run).run().code(0);
    let last = |who: &str, cents: u64| {
        let of = |line: &&String| line.contains(who);
        let line = done.out.iter().rfind(of).unwrap_or_else(|| panic!("{}", done.said()));
        let value: Value = serde_json::from_str(line).expect("JSON");
        assert!(value.to_string().contains(&cents.to_string()), "{}", done.said());
    };
    last("ann", 108);
    last("bob", 4);
}

fn refused(run: &str, example: &str, texts: &[&str]) -> Ended {
    let dir = tempfile::tempdir().expect("a directory");
    script(dir.path(), example, run).run().code(2).says(texts)
}

#[test]
fn what_cannot_be_read_twice_is_not() {
    let twice = "echo x | $JOB --source shop=- --source phone=/dev/stdin";
    refused(twice, "two_sources", &["`phone`", "/dev/stdin is read by source `shop`", "help: "]);
    let fifo = "mkfifo f; $JOB --source shop=f --source phone=./f";
    refused(fifo, "two_sources", &["`phone`", "is read by source `shop`"]);
    let again = "echo x | $JOB --source lines=- --workers 2 --checkpoint 1s --state state";
    refused(again, "grep", &["`lines`", "--checkpoint", "help: write it to a file"]);
}

#[test]
fn a_directory_as_standard_input_is_an_error() {
    let dir = tempfile::tempdir().expect("a directory");
    let run = format!("{GREP} lines=- < .");
    script(dir.path(), "grep", &run).run().code(1).says(&["cannot read /dev/stdin", "directory"]);
}

#[test]
fn a_slow_pipe_shows_results_and_a_signal_ends_the_wait() {
    let dir = tempfile::tempdir().expect("a directory");
    shell(dir.path(), "mkfifo fifo");
    let fifo = dir.path().join("fifo");
    for options in ["", "?batch_records=2", "?follow"] {
        let job =
            Job::example("grep").current_dir(dir.path()).source("lines", format!("fifo{options}"));
        let job = job.sink("matches", "stdout:").args(["--pattern", "x", "--log", "json"]);
        let mut job = job.args(["--interval", "100ms"]).start();
        let mut writer = OpenOptions::new().write(true).open(&fifo).expect("the job reads it");
        writer.write_all(b"x one\nx two\nx thr").expect("it is read");
        job.wait("results of a pipe that is open", |job| job.out.len() == 2);
        assert_eq!(job.out, ["x one", "x two"]);
        job.signal(Signal::INT);
        // What has come of the third line cannot be read again, and is no record.
        let done = job.end().code(0).says(&["unfinished when the source was stopped", "x thr"]);
        let done = done.says(&["3 records read (", "= 2 processed + 1 set aside"]);
        assert_eq!(done.out.len(), 2);
        drop(writer);
    }
}
