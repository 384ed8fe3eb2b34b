//! What people see: displays on a terminal, and lines of a log.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::job::{Job, Running, binary, shell};

/// A job on a terminal of so many columns: `script` (of util-linux) makes one, and passes on what is written.
fn on_terminal(dir: &Path, columns: u32, example: &str, arguments: &str) -> Running {
    let job = binary(example);
    let run = format!("stty cols {columns} rows 24; exec {} {arguments}", job.display());
    let mut script = Command::new("script");
    script.args(["-qefc", &run, "/dev/null"]).env("TERM", "xterm").env("SHELL", "/bin/bash");
    Job::of(script).current_dir(dir).start()
}

/// A live stream that a test writes, and that ends when it is dropped.
fn fifo(dir: &Path) -> impl FnOnce() -> File {
    shell(dir, "mkfifo fifo");
    let path = dir.join("fifo");
    move || OpenOptions::new().write(true).open(path).expect("the job reads it")
}

/// What a terminal shows in the end, line by line.
fn screen(written: &[String]) -> Vec<String> {
    let mut lines: Vec<Vec<char>> = vec![Vec::new()];
    let (mut row, mut column) = (0_usize, 0_usize);
    let text = written.join("\n");
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\r' => column = 0,
            '\n' => {
                row += 1;
                lines.resize(lines.len().max(row + 1), Vec::new());
            }
            '\u{1b}' if chars.peek() == Some(&'[') => {
                chars.next();
                let mut number = String::new();
                let end = loop {
                    match chars.next() {
                        Some(c) if c.is_ascii_digit() || ";?".contains(c) => number.push(c),
                        other => break other,
                    }
                };
                let n = number.parse().unwrap_or(1_usize);
                match end {
                    Some('A') => row = row.saturating_sub(n),
                    Some('B') => row += n,
                    Some('G') => column = n - 1,
                    Some('K') if number == "2" => lines[row].clear(),
                    Some('K') => lines[row].truncate(column),
                    Some('J') => {
                        lines[row].truncate(column);
                        lines.truncate(row + 1);
                    }
                    _ => {}
                }
                lines.resize(lines.len().max(row + 1), Vec::new());
            }
            c => {
                let line = &mut lines[row];
                line.resize(line.len().max(column + 1), ' ');
                line[column] = c;
                column += 1;
            }
        }
    }
    lines.iter().map(|line| line.iter().collect::<String>().trim_end().to_owned()).collect()
}

fn shows(job: &Running, text: &str) -> bool {
    screen(&job.out).iter().any(|line| line.contains(text))
}

#[test]
fn print_draws_its_block_again_on_a_terminal() {
    let dir = tempfile::tempdir().expect("a directory");
    let open = fifo(dir.path());
    let mut job = on_terminal(dir.path(), 70, "top_k_count", "--source 'lines=fifo?follow' --k 3");
    let mut input = open();
    input.write_all(b"ba ba re\n").expect("it is read");
    job.wait("the first result", |job| shows(job, "ba  2"));
    input.write_all(b"re re re mi\n").expect("it is read");
    job.wait("the next result", |job| shows(job, "re  4"));
    drop(input);
    let done = job.end().code(0);
    let shown = screen(&done.out);
    let titles: Vec<_> = shown.iter().filter(|line| line.starts_with("top at ")).collect();
    assert_eq!(titles.len(), 1, "{shown:#?}");
    assert!(titles[0].ends_with(" UTC:") && titles[0].starts_with("top at 20"), "{shown:#?}");
    for line in ["re\t4", "ba\t2", "mi\t1"] {
        assert!(done.out.iter().any(|out| out.trim_end() == line), "{line}: {shown:#?}");
    }
}

#[test]
fn what_is_printed_elsewhere_is_not_drawn_again() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("text"), "ba ba re\n".repeat(4)).expect("there is room");
    // Over history every batch stays to be seen, on a terminal too.
    let arguments = "--source 'lines=text?batch_records=2' --k 1";
    let done = on_terminal(dir.path(), 70, "top_k_count", arguments).end();
    let shown = screen(&done.out);
    assert!(shown.iter().filter(|line| line.starts_with("top at ")).count() >= 2, "{shown:#?}");
}

#[test]
fn lines_on_a_terminal_end_between_fields() {
    let dir = tempfile::tempdir().expect("a directory");
    let open = fifo(dir.path());
    let arguments = "--source 'lines=fifo?follow' --pattern ba --interval 100ms";
    let mut job = on_terminal(dir.path(), 44, "grep", arguments);
    let mut input = open();
    let drawn = |job: &Running| -> BTreeSet<String> {
        let lines = job.out.iter().flat_map(|line| line.split(['\r', '\u{1b}']));
        lines
            .filter_map(|line| line.find("batch ").map(|at| line[at..].trim_end().to_owned()))
            .collect()
    };
    job.wait("some batches", |job| {
        // The job may have ended: then the wait says so.
        let _ =
            input.write_all(&b"a line that has ba in it 123456789 123456789 12345\n".repeat(700));
        drawn(job).len() >= 4
    });
    let lines = drawn(&job);
    drop(input);
    job.end().code(0);
    for line in lines.iter().filter(|line| line.contains(": ")) {
        let whole = ["record", "records", "records/s", "batches", "to process", " ms"];
        let results = line
            .rsplit_once("; matches: ")
            .is_some_and(|(_, n)| n.bytes().all(|c| c == b',' || c.is_ascii_digit()));
        assert!(line.chars().count() < 44, "{line}");
        assert!(results || whole.iter().any(|end| line.ends_with(end)), "{line}");
    }
}

#[test]
fn entries_of_a_log_have_time_and_level() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("text"), b"ba one\n\xff\n").expect("there is room");
    let grep = |more: &[&str]| {
        let job = Job::example("grep").current_dir(dir.path()).source("lines", "text");
        job.args(["--pattern", "ba"]).sink("matches", "stdout:").args(more)
    };
    let done = grep(&[]).run().code(0);
    let stamped = |line: &&String| line.get(19..21) == Some("Z ") && line.starts_with("20");
    let levels: Vec<&str> =
        done.err.iter().filter(stamped).map(|line| line[21..26].trim()).collect();
    assert!(levels.contains(&"INFO") && levels.contains(&"WARN"), "{}", done.said());
    assert!(done.said().contains(" in 1 batch,"), "{}", done.said());

    let done = grep(&["--log", "json"]).run().code(0);
    for line in &done.err {
        let event: Value = serde_json::from_str(line).expect("it is JSON");
        let time = event["time"].as_str().expect("it has a time");
        assert!(time.starts_with("20") && time.ends_with('Z') && time.len() == 24, "{line}");
        let level = event["level"].as_str().expect("it has a level");
        assert_eq!(level == "warn", event["event"] == "dead_letter", "{line}");
        assert!(event["message"].as_str().is_some_and(|text| !text.is_empty()), "{line}");
    }

    let done = grep(&["--quiet"]).run().code(0);
    assert_eq!(done.err.iter().filter(stamped).count(), done.err.len(), "{}", done.said());
    assert!(done.err.iter().all(|line| line[21..].starts_with("WARN")), "{}", done.said());
    assert_eq!(done.out, ["ba one"]);
    let done = grep(&["--quiet", "--source", "lines=gone"]).run().code(2);
    assert!(!done.err.is_empty(), "an error is said");
    let workers = grep(&["--workers", "2", "--quiet"]).run().code(0);
    assert!(workers.err.iter().all(|line| line.contains("WARN")), "{}", workers.said());
}

#[test]
fn an_error_of_a_job_that_ran_is_an_entry_and_one_of_a_command_line_an_answer() {
    let dir = tempfile::tempdir().expect("a directory");
    let gone = Job::example("grep").current_dir(dir.path()).source("lines", "gone").run().code(1);
    let last = gone.err.last().expect("an error");
    assert_eq!(last.get(19..29), Some("Z ERROR so"), "{last}");
    let wrong =
        Job::example("grep").current_dir(dir.path()).args(["--source", "x=y"]).run().code(2);
    assert!(wrong.err.iter().any(|line| line.starts_with("error: ")), "{}", wrong.said());
}
