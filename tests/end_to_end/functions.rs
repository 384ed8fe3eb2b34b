//! `foreach_batch`: results in a store of the program's own (`tests/jobs/ledger.rs`).

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use rustix::process::Signal;

use crate::job::{Job, shell};

fn ledger(lines: &Path, ledger: &Path) -> Job {
    let job = Job::example("ledger").args(["--log", "json", "--ledger"]).args([ledger]);
    job.source("lines", lines.display())
}

/// Lines of words; some more often than others.
fn text(from: usize, lines: usize) -> String {
    (from..from + lines).map(|n| format!("w{} all w{}\n", n % 7, n % 31)).collect()
}

/// The sums of the counts in a ledger.
fn sums(ledger: &Path) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    for file in fs::read_dir(ledger).expect("a directory") {
        let path = file.expect("it can be listed").path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("ledger-counts-"))
        {
            for row in fs::read_to_string(path).expect("it is text").lines() {
                let (word, n) = row.split_once(' ').expect("a word and its count");
                *sums.entry(word.to_owned()).or_default() += n.parse::<u64>().expect("a number");
            }
        }
    }
    sums
}

/// The same of all words of a file, by coreutils.
fn counted(dir: &Path, file: &str) -> BTreeMap<String, u64> {
    let counts = shell(dir, &format!("tr ' ' '\\n' < {file} | sort | uniq -c"));
    let pair = |line: &str| {
        let (n, word) = line.trim().split_once(' ').expect("a count and a word");
        (word.to_owned(), n.parse().expect("a number"))
    };
    counts.lines().map(pair).collect()
}

#[test]
fn a_function_is_given_every_record_once_per_key_through_kills() {
    let dir = tempfile::tempdir().expect("a directory");
    let (store, state, log) =
        (dir.path().join("store"), dir.path().join("state"), dir.path().join("lines.txt"));
    fs::create_dir(&store).expect("there is room");
    let mut file = File::create(&log).expect("there is room");
    let mut written = 0;
    let mut write = |lines: usize| {
        file.write_all(text(written, lines).as_bytes()).expect("there is room");
        written += lines;
        3 * written as u64
    };
    let start = || {
        let follow = format!("file://{}?follow", log.display());
        ledger(follow.as_ref(), &store)
            .args(["--checkpoint", "50ms", "--state"])
            .args([&state])
            .start()
    };
    write(100);
    for more in [1, 500, 20, 3000] {
        let mut job = start();
        let all = write(more);
        job.wait("all words are in the ledger", |_| sums(&store).values().sum::<u64>() >= all);
        write(more);
        job.signal(Signal::KILL);
        job.end();
    }
    let mut job = start();
    let all = write(1);
    job.wait("all words are in the ledger", |_| sums(&store).values().sum::<u64>() >= all);
    job.signal(Signal::TERM);
    job.end().code(0);
    assert_eq!(sums(&store), counted(dir.path(), "lines.txt"));
}

#[test]
fn a_cluster_hands_over_the_same_records() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = dir.path().join("store");
    fs::create_dir(&store).expect("there is room");
    fs::write(dir.path().join("lines.txt"), text(0, 5000)).expect("there is room");
    let lines = format!("{}?batch_records=1000", dir.path().join("lines.txt").display());
    ledger(lines.as_ref(), &store).args(["--workers", "2"]).run().code(0);
    assert_eq!(sums(&store), counted(dir.path(), "lines.txt"));
    assert!(fs::read_dir(&store).expect("a directory").count() > 5, "there are several parts");
}

#[test]
fn an_error_is_tried_again_until_it_passes_and_ends_the_job_if_it_does_not() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = dir.path().join("store");
    fs::create_dir(&store).expect("there is room");
    fs::write(dir.path().join("lines.txt"), text(0, 10)).expect("there is room");
    fs::write(store.join("locked"), "").expect("there is room");
    let job = || ledger(&dir.path().join("lines.txt"), &store);
    let failed = job().args(["--sink-patience", "1s"]).run().code(1);
    failed.says(&["counts", "the ledger is locked", "ledger.rs"]);
    assert_eq!(sums(&store), BTreeMap::new());
    let mut patient = job().start();
    patient.wait("it says that it tries again", |job| {
        job.err.iter().any(|line| line.contains("the ledger is locked"))
    });
    fs::remove_file(store.join("locked")).expect("it is there");
    patient.end().code(0);
    assert_eq!(sums(&store), counted(dir.path(), "lines.txt"));
}

#[test]
fn a_panic_names_its_place() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("lines.txt"), "b a b\n").expect("there is room");
    fs::write(dir.path().join("broken"), "").expect("there is room");
    let failed = ledger(&dir.path().join("lines.txt"), dir.path()).run().code(1);
    failed.says(&["counts", "the ledger is broken", "ledger.rs:"]);
}

#[test]
fn a_sink_takes_the_place_of_the_function() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("lines.txt"), "b a b\n").expect("there is room");
    let job = ledger(&dir.path().join("lines.txt"), dir.path());
    let done = job.sink("counts", "csv+stdout:?header=false").run().code(0);
    let mut rows = done.out;
    rows.sort();
    assert_eq!(rows, ["a,1", "b,2"]);
    assert_eq!(sums(dir.path()), BTreeMap::new());
}
