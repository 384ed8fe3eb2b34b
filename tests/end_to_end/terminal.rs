//! What people see: displays on a terminal, and lines of a log.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use serde_json::Value;

use crate::job::{Job, Running, binary, deadline, shell};

/// A job on a terminal of that width: `script` (util-linux) provides it and passes on the output.
struct OnTerminal {
    job: Running,
    columns: usize,
    heard: Receiver<Vec<u8>>,
    written: Vec<u8>,
}

impl OnTerminal {
    fn start(dir: &Path, columns: usize, example: &str, arguments: &str) -> Self {
        let job = binary(example);
        let run = format!("stty cols {columns} rows 24; exec {} {arguments}", job.display());
        let mut script = Command::new("script");
        script.args(["-qefc", &run, "/dev/null"]).env("TERM", "xterm").env("SHELL", "/bin/bash");
        let mut job = Job::of(script).current_dir(dir).unread().start();
        let (mut stdout, (sender, heard)) = (job.take_stdout(), channel());
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(got @ 1..) = stdout.read(&mut buffer) {
                // The test may have ended.
                let _ = sender.send(buffer[..got].to_vec());
            }
        });
        Self { job, columns, heard, written: Vec::new() }
    }

    /// Waits until a condition holds for the screen.
    fn wait(&mut self, what: &str, mut holds: impl FnMut(&[String]) -> bool) {
        let deadline = deadline();
        while !holds(&self.screen()) {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.heard.recv_timeout(left) {
                Ok(bytes) => self.written.extend(bytes),
                Err(error) => panic!("{error} while waiting for {what}: {:#?}", self.screen()),
            }
        }
    }

    fn screen(&self) -> Vec<String> {
        screen(&String::from_utf8_lossy(&self.written), self.columns)
    }

    /// Ends the job; returns everything written.
    fn end(mut self) -> Vec<u8> {
        let bytes = self.heard.iter();
        self.written.extend(bytes.flatten());
        self.job.end().code(0);
        self.written
    }
}

/// A live stream written by the test, which ends when it is dropped.
fn fifo(dir: &Path) -> impl FnOnce() -> File {
    shell(dir, "mkfifo fifo");
    let path = dir.join("fifo");
    move || OpenOptions::new().write(true).open(path).expect("the job reads it")
}

/// The final content of a terminal, line by line.
fn screen(text: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<Vec<char>> = vec![Vec::new()];
    let (mut row, mut column) = (0_usize, 0_usize);
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
                if column == columns {
                    (row, column) = (row + 1, 0);
                    lines.resize(lines.len().max(row + 1), Vec::new());
                }
                let line = &mut lines[row];
                line.resize(line.len().max(column + 1), ' ');
                line[column] = c;
                column += 1;
            }
        }
    }
    lines.into_iter().map(String::from_iter).collect()
}

fn shows(screen: &[String], text: &str) -> bool {
    screen.iter().any(|line| line.contains(text))
}

#[test]
fn print_draws_its_block_again_on_a_terminal() {
    let dir = tempfile::tempdir().expect("a directory");
    let open = fifo(dir.path());
    let arguments = "--source 'lines=fifo?follow' --k 3";
    let mut job = OnTerminal::start(dir.path(), 70, "top_k_count", arguments);
    let mut input = open();
    input.write_all(b"ba ba re\n").expect("it is read");
    job.wait("the first result", |screen| shows(screen, "ba  2"));
    input.write_all(b"re re re mi\n").expect("it is read");
    job.wait("the next result", |screen| shows(screen, "re  4"));
    drop(input);
    let written = String::from_utf8(job.end()).expect("it is UTF-8");
    let shown = screen(&written, 70);
    let titles: Vec<_> = shown.iter().filter(|line| line.starts_with("top at ")).collect();
    assert_eq!(titles.len(), 1, "{shown:#?}");
    assert!(
        titles[0].trim_end().ends_with(" UTC:") && titles[0].starts_with("top at 20"),
        "{shown:#?}"
    );
    // The last block stays, in the form for pipes.
    for line in ["re\t4\r\n", "ba\t2\r\n", "mi\t1\r\n"] {
        assert_eq!(written.matches(line).count(), 1, "{line:?}: {written:?}");
    }
}

#[test]
fn what_is_printed_over_history_is_not_drawn_again() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("text"), "ba ba re\n".repeat(4)).expect("there is room");
    let arguments = "--source 'lines=text?batch_records=2&windows=batches' --k 1";
    let done = OnTerminal::start(dir.path(), 70, "top_k_count", arguments).end();
    let shown = screen(&String::from_utf8_lossy(&done), 70);
    assert!(shown.iter().filter(|line| line.starts_with("top at ")).count() >= 2, "{shown:#?}");
}

#[test]
fn lines_on_a_terminal_end_between_fields() {
    let dir = tempfile::tempdir().expect("a directory");
    let open = fifo(dir.path());
    let arguments = "--source 'lines=fifo?follow' --pattern ba --interval 100ms";
    let mut job = OnTerminal::start(dir.path(), 44, "grep", arguments);
    let mut input = open();
    let mut lines = BTreeSet::new();
    job.wait("some batches", |screen| {
        // The job may have ended; the wait reports that.
        let _ =
            input.write_all(&b"a line that has ba in it 123456789 123456789 12345\n".repeat(70));
        // A finished line is padded.
        let drawn =
            screen.iter().filter(|line| line.starts_with("batch ") && line.chars().count() == 44);
        lines.extend(drawn.map(|line| line.trim_end().to_owned()));
        lines.len() >= 4
    });
    drop(input);
    job.end();
    for line in &lines {
        let whole = ["record", "records", "records/s", "batches", "to process", " ms"];
        let results = line.rsplit_once("; matches: ");
        let results =
            results.is_some_and(|(_, n)| n.bytes().all(|c| c == b',' || c.is_ascii_digit()));
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
        done.err.iter().filter(stamped).filter_map(|line| line[21..].split(": ").next()).collect();
    assert!(levels.contains(&"info") && levels.contains(&"warning"), "{}", done.said());
    assert!(done.said().contains(" 1 batch,"), "{}", done.said());

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
    assert!(done.err.iter().all(|line| line[21..].starts_with("warning: ")), "{}", done.said());
    assert_eq!(done.out, ["ba one"]);
    let done = grep(&["--quiet", "--source", "lines=gone"]).run().code(2);
    assert!(!done.err.is_empty(), "an error is said");
    let workers = grep(&["--workers", "2", "--quiet"]).run().code(0);
    assert!(workers.err.iter().all(|line| line.contains("Z warning: ")), "{}", workers.said());
}

#[test]
fn an_error_of_a_job_that_ran_is_an_entry_and_one_of_a_command_line_an_answer() {
    let dir = tempfile::tempdir().expect("a directory");
    let gone = Job::example("grep").current_dir(dir.path()).source("lines", "gone").run().code(1);
    let last = gone.err.last().expect("an error");
    assert_eq!(last.get(19..37), Some("Z error: source `l"), "{last}");
    let wrong =
        Job::example("grep").current_dir(dir.path()).args(["--source", "x=y"]).run().code(2);
    assert!(wrong.err.iter().any(|line| line.starts_with("error: ")), "{}", wrong.said());
}
