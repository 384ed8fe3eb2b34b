//! Jobs run again into the same directory: equal results are a success, different batch times are refused,
//! and `--overwrite` replaces only what the job published there.

use std::fs;
use std::path::Path;

use rustix::process::Signal;

use crate::job::{Ended, Job, shell};
use crate::published::{Published, tree};

fn dir_with_lines() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("lines.txt"), "one a\ntwo b\nthree a\nfour b\n").expect("room");
    dir
}

fn grep(dir: &Path, pattern: &str, args: &[&str]) -> Ended {
    let job = Job::example("grep").current_dir(dir).source("lines", "lines.txt?batch_records=2");
    job.files("matches", "text", &dir.join("out")).args(["--pattern", pattern]).args(args).run()
}

fn matches(dir: &Path) -> Vec<String> {
    Published::read(&dir.join("out")).lines().into_iter().map(str::to_owned).collect()
}

#[test]
fn history_is_published_again_only_as_it_was() {
    let dir = dir_with_lines();
    grep(dir.path(), "a", &[]).code(0);
    let before = tree(&dir.path().join("out"));
    grep(dir.path(), "a", &[]).code(0);
    let done = grep(dir.path(), "b", &[]).code(1).says(&["--overwrite", "--sink"]);
    assert_eq!(tree(&dir.path().join("out")), before, "{}", done.said());
}

#[test]
fn results_of_a_longer_run_are_not_left_beside_those_of_a_shorter_one() {
    for workers in ["0", "1"] {
        let dir = dir_with_lines();
        let workers = ["--workers", workers];
        grep(dir.path(), "a", &workers).code(0);
        // The first batch is the same, and there is no second.
        fs::write(dir.path().join("lines.txt"), "one a\ntwo b\n").expect("there is room");
        let done = grep(dir.path(), "a", &workers).code(1);
        let done = done.says(&["2 records read", "`matches`", "after the last one", "--overwrite"]);
        assert_eq!(matches(dir.path()), ["one a", "three a"], "{}", done.said());
        grep(dir.path(), "a", &[&workers[..], &["--overwrite"]].concat()).code(0);
        assert_eq!(matches(dir.path()), ["one a"]);
        // Also without any input.
        fs::write(dir.path().join("lines.txt"), "").expect("there is room");
        grep(dir.path(), "a", &workers).code(1).says(&["--overwrite"]);
    }
}

#[test]
fn what_the_job_published_is_replaced() {
    let dir = dir_with_lines();
    let out = dir.path().join("out");
    grep(dir.path(), "a", &[]).code(0);
    // More batches than the next run has.
    fs::write(dir.path().join("lines.txt"), "one a\ntwo b\n").expect("there is room");
    let done = grep(dir.path(), "b", &["--overwrite"]).code(0);
    let done = done.says(&["output `matches`: 2 batches of earlier runs removed (--overwrite)"]);
    assert_eq!(matches(dir.path()), ["two b"], "{}", done.said());
    assert_eq!(Published::read(&out).0.len(), 1);
    // Other files stay.
    fs::write(out.join("README"), "mine").expect("there is room");
    shell(
        &out,
        "cp -r 1000 3000; sed -i s/grep/prep/ 3000/_manifest.json; sed -i 's/:1000/:3000/' 3000/_manifest.json",
    );
    let theirs = tree(&out.join("3000"));
    grep(dir.path(), "a", &["--overwrite", "--workers", "1"]).code(0);
    assert_eq!(tree(&out.join("3000")), theirs);
    assert_eq!(fs::read_to_string(out.join("README")).expect("it is there"), "mine");
    assert_eq!(
        fs::read_to_string(out.join("1000/part-00000.txt")).expect("it is there"),
        "one a\n"
    );
    // Another file inside a batch: nothing is removed.
    fs::write(out.join("1000/notes"), "mine").expect("there is room");
    let before = tree(&out);
    grep(dir.path(), "b", &["--overwrite"]).code(1).says(&["notes", "move it away"]);
    assert_eq!(tree(&out), before);
}

#[test]
fn a_journal_is_not_overwritten() {
    let dir = dir_with_lines();
    let cluster = ["--overwrite", "--workers", "1", "--checkpoint", "1s", "--state", "state"];
    grep(dir.path(), "a", &cluster).code(2).says(&[
        "--overwrite",
        "another --state",
        "another --state",
    ]);
    assert!(!dir.path().join("out").exists());
    let worker = ["--role", "worker", "--master", "127.0.0.1:1", "--overwrite"];
    Job::example("grep").args(worker).run().code(2).says(&["--overwrite", "master"]);
}

/// `grep` of a followed directory with its dead letters, until it has published a batch.
fn live(dir: &Path, outputs: &[&str], args: &[&str]) -> Job {
    let source = format!("file://{}?follow", dir.join("logs").display());
    let job = Job::example("grep").source("lines", source).args(["--pattern", "a"]);
    let job = outputs.iter().fold(job, |job, name| {
        let format = if name.ends_with(".dead") { "json" } else { "text" };
        job.files(name, format, &dir.join(name))
    });
    job.args(["--interval", "50ms", "--log", "json", "--summary", "json"]).args(args)
}

fn until_published(job: Job, records: u64) -> Ended {
    let mut job = job.start();
    job.wait("what stands there", |job| {
        let published = |event: &serde_json::Value| event["outputs"][0]["records"].as_u64();
        job.events("batch").filter_map(published).sum::<u64>() >= records
    });
    job.signal(Signal::TERM);
    job.end()
}

fn followed() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    fs::create_dir(dir.path().join("logs")).expect("there is room");
    fs::write(dir.path().join("logs/1.log"), b"one a\n\xff\nthree a\n").expect("there is room");
    dir
}

#[test]
fn a_live_job_does_not_publish_its_input_a_second_time() {
    for name in ["matches", "lines.dead"] {
        let dir = followed();
        let out = dir.path().join(name);
        until_published(live(dir.path(), &[name], &[]), 2).code(0);
        let before = tree(&out);
        for workers in ["0", "1"] {
            let done = live(dir.path(), &[name], &["--workers", workers]).run().code(2).says(&[
                &format!("output `{name}` (examples/grep.rs:"),
                "job `grep` has published before",
                "--overwrite",
                "`--state DIR`",
            ]);
            assert_eq!(tree(&out), before, "{}", done.said());
        }
        until_published(live(dir.path(), &[name], &["--overwrite"]), 2).code(0);
        let after = Published::read(&out);
        assert_eq!(after.lines().len(), if name == "matches" { 2 } else { 1 });
    }
}

#[test]
fn all_outputs_in_use_are_named_at_once() {
    let dir = followed();
    let names = ["matches", "lines.dead"];
    until_published(live(dir.path(), &names, &[]), 2).code(0);
    live(dir.path(), &names, &[]).run().code(2).says(&[
        "output `matches` (examples/grep.rs:",
        "output `lines.dead` (",
        "--sink matches=FORMAT+file://DIR --sink lines.dead=FORMAT+file://DIR name other directories",
    ]);
}

#[test]
fn a_live_job_with_a_journal_goes_on_and_one_with_a_new_journal_does_not() {
    let dir = followed();
    let state = |name: &str| dir.path().join(name).display().to_string();
    let (old, new) = (state("old"), state("new"));
    let durable = |state: &str| {
        let args = ["--workers", "1", "--checkpoint", "50ms", "--state", state];
        live(dir.path(), &["matches"], &args)
    };
    until_published(durable(&old), 2).code(0);
    let done = durable(&new).run().code(2);
    done.says(&["has published before", "begins anew", "with the --state of that run"]);
    fs::write(dir.path().join("logs/2.log"), "four a\n").expect("there is room");
    until_published(durable(&old), 1).code(0);
    let lines = Published::read(&dir.path().join("matches"));
    let mut lines = lines.lines();
    lines.sort_unstable();
    assert_eq!(lines, ["four a", "one a", "three a"]);
}

#[test]
fn a_journal_that_is_older_than_what_was_published_is_refused() {
    let dir = followed();
    let (state, out) = (dir.path().join("state"), dir.path().join("matches"));
    let durable = |more: &[&str]| {
        let state = state.display().to_string();
        let args = ["--checkpoint", "50ms", "--state", &state];
        live(dir.path(), &["matches"], &[&args, more].concat())
    };
    until_published(durable(&[]), 2).code(0);
    // With its modes: it holds secrets.
    shell(dir.path(), "cp -a state old");
    let known = Published::read(&out).0;
    fs::write(dir.path().join("logs/2.log"), "four a\n").expect("there is room");
    until_published(durable(&[]), 1).code(0);
    let all = Published::read(&out).0;
    let newest = *all.keys().last().expect("it was published");
    let date = format!("date -u -d @{}.{:03} '+%F %T.%3N UTC'", newest / 1000, newest % 1000);
    let date = shell(dir.path(), &date);
    shell(dir.path(), "rm -r state; mv old state");
    for _ in 0..2 {
        durable(&[]).run().code(2).says(&[
            "output `matches` (examples/grep.rs:",
            &format!("holds the batch of {} of this job", date.trim().replace(".000", "")),
            "is older than what was published",
            "the --state that belongs to these batches",
            "--sink matches=",
        ]);
        assert_eq!(Published::read(&out).0, all, "nothing is published");
    }
    for time in all.keys().filter(|time| !known.contains_key(time)) {
        fs::remove_dir_all(out.join(time.to_string())).expect("it can be removed");
    }
    until_published(durable(&[]), 1).code(0);
    let lines = Published::read(&out);
    let mut lines = lines.lines();
    lines.sort_unstable();
    assert_eq!(lines, ["four a", "one a", "three a"]);
}

#[test]
fn a_job_that_goes_on_at_another_place_says_so_and_publishes_each_record_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let logs = dir.path().join("logs");
    fs::create_dir(&logs).expect("there is room");
    let job = |out: &str| {
        let job = Job::example("grep").current_dir(dir.path()).source("lines", "logs?follow");
        let job = job.files("matches", "text", &dir.path().join(out));
        job.args(["--pattern", "a", "--state", "st", "--interval", "50ms", "--log", "json"])
    };
    let published = |out: &str| {
        let there = Published::read(&dir.path().join(out));
        there.lines().into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    for (number, out, says) in
        [("1", "one", ""), ("2", "one", ""), ("3", "two", "`matches` went to")]
    {
        fs::write(logs.join(number), format!("a{number}\n")).expect("there is room");
        let mut job = job(out).start();
        let line = format!("a{number}");
        job.wait("the new line", |job| {
            job.events("batch").count() > 0 && published(out).contains(&line)
        });
        job.signal(Signal::INT);
        let done = job.end().code(0).says(&[says]);
        assert_eq!(done.err.join("").contains("went to"), !says.is_empty(), "{}", done.said());
    }
    assert_eq!(published("one"), ["a1", "a2"]);
    assert_eq!(published("two"), ["a3"]);
}
