//! A durable job in one process: `--state DIR` without workers. It resumes when it is started again, and publishes
//! what an undisturbed run publishes.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::crew::Tap;
use super::post::post;
use super::restarts::{kill, of_words};
use crate::job::{Job, Running, listens_at};
use crate::published::{assert_same_trees, tree};

fn durable(example: &str, state: &Path) -> Job {
    Job::example(example).args(["--log", "json", "--state"]).args([state])
}

#[test]
fn killed_at_any_batch_it_publishes_what_an_undisturbed_run_does() {
    let dir = tempfile::tempdir().expect("a directory");
    let (state, out, expected) =
        (dir.path().join("state"), dir.path().join("out"), dir.path().join("expected"));
    let job = || of_words(durable("word_count", &state).args(["--checkpoint", "50ms"]), &out);
    // The job halts where its output is not read: it is killed after that many lines.
    for (time, lines) in (1..).zip([1, 40_000, 60_000, 20_000, 500, 70_000]) {
        let mut running = job().unread().start();
        let mut tap = Tap::on(&mut running);
        tap.read(lines);
        if time > 1 {
            assert_eq!(running.event("resumed")["term"], time);
        }
        kill(running);
    }
    let last = job().run().code(0);
    assert!(last.err.iter().any(|line| line.contains("\"resumed\"")), "{}", last.said());
    of_words(Job::example("word_count"), &expected).run().code(0);
    assert!(tree(&expected).len() > 100, "the test says something");
    assert_same_trees(&expected, &out);
}

/// The lines that are published so far, while the job may publish more.
pub(super) fn published(out: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    for batch in fs::read_dir(out).into_iter().flatten() {
        let batch = batch.expect("it can be listed");
        // What begins with `_` is not published yet.
        if batch.file_name().to_string_lossy().starts_with('_') {
            continue;
        }
        for part in fs::read_dir(batch.path()).expect("it is whole") {
            let part = part.expect("it can be listed").path();
            if part.extension().is_some_and(|extension| extension == "txt") {
                let text = fs::read_to_string(part).expect("it is whole");
                lines.extend(text.lines().map(str::to_owned));
            }
        }
    }
    lines
}

#[test]
fn live_files_are_read_once_through_kills_and_a_stop() {
    let dir = tempfile::tempdir().expect("a directory");
    let (logs, state, out) =
        (dir.path().join("logs"), dir.path().join("state"), dir.path().join("out"));
    fs::create_dir(&logs).expect("there is room");
    let path = logs.join("app.log");
    let mut log = File::create(&path).expect("there is room");
    let mut written = 0;
    let mut write = |lines: u32| {
        let text: String = (written..written + lines).map(|n| format!("line a{n}\n")).collect();
        log.write_all(text.as_bytes()).expect("there is room");
        written += lines;
        written as usize
    };
    let start = || {
        let job = durable("grep", &state).args(["--pattern", "a", "--interval", "1s"]);
        let job = job.source("lines", format_args!("file://{}?follow", logs.display()));
        job.files("matches", "text", &out).start()
    };
    let all = |job: &mut Running, lines: usize| {
        // It looks again with each batch that is logged.
        job.wait("all lines are published", |_| published(&out).len() >= lines);
    };
    let mut lines = write(1000);
    for more in [300, 1, 4000] {
        let mut job = start();
        all(&mut job, lines);
        write(more);
        kill(job);
        lines = write(more);
    }
    let mut job = start();
    all(&mut job, lines);
    job.signal(Signal::TERM);
    job.end().code(0);
    lines = write(10);
    let mut job = start();
    all(&mut job, lines);
    job.signal(Signal::TERM);
    job.end().code(0);
    let published = published(&out);
    let input = fs::read_to_string(&path).expect("it is there");
    assert_eq!(published.len(), lines);
    let (published, input): (BTreeSet<&str>, BTreeSet<&str>) =
        (published.iter().map(String::as_str).collect(), input.lines().collect());
    assert_eq!(published, input);
}

#[test]
fn it_answers_like_a_cluster_and_gives_savepoints() {
    let dir = tempfile::tempdir().expect("a directory");
    let (state, other) = (dir.path().join("state"), dir.path().join("other"));
    let source = "generate://words?rate=1000";
    let sinks = |job: Job| job.source("lines", source).sink("counts", "none:");
    let mut job = sinks(durable("word_count", &state)).start();
    job.event("batch");
    let ask = |question: &[&str]| {
        let job = Job::example("word_count").args(question);
        job.args([Path::new("--state"), &state]).run().code(0).out.join("\n")
    };
    let status = ask(&["status"]);
    assert!(status.contains("word_count") && status.contains("w1"), "{status}");
    ask(&["savepoint", "here"]);
    ask(&["stop"]);
    job.end().code(0);
    let mut again = sinks(durable("word_count", &state)).start();
    again.event("resumed");
    again.signal(Signal::TERM);
    again.end().code(0);
    let from = state.join("savepoints/here");
    let job = durable("word_count", &other).args([Path::new("--from"), &from]);
    let mut next = sinks(job).start();
    next.event("batch");
    next.signal(Signal::TERM);
    next.end().code(0);
}

/// Time to say what is lost, or to stop: no worker can come that would have to be waited for.
const AT_ONCE: Duration = Duration::from_secs(5);

#[test]
fn pushed_records_in_its_memory_alone_are_named_at_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let (state, out) = (dir.path().join("state"), dir.path().join("out"));
    let job = || {
        let job = durable("word_count", &state).args(["--ingest", "memory"]);
        let job = job.source("lines", "http://127.0.0.1:0/lines");
        job.sink("windowed", "none:").files("counts", "csv", &out)
    };
    let receiving = |job: &mut Running| listens_at(&job.event("receiving"));
    let send = |at: SocketAddr, word: &str| {
        let status = post(at, "/lines", &format!("{word}\n")).expect("it listens");
        assert!(status.starts_with("HTTP/1.1 2"), "{status}");
    };
    let mut running = job().start();
    let at = receiving(&mut running);
    send(at, "before");
    let before = running.events("batch").count();
    running.wait("its batch", |job| job.events("batch").count() >= before + 2);
    kill(running);
    for start in 0..2 {
        let begun = Instant::now();
        let mut failed = job().start();
        let message = failed.event("error")["message"].to_string();
        assert!(message.contains("acknowledged records are lost"), "{start}: {message}");
        failed.end().code(1);
        assert!(begun.elapsed() < AT_ONCE, "{start}: {:?}", begun.elapsed());
    }
    let mut running = job().args(["--accept-loss"]).start();
    let at = receiving(&mut running);
    send(at, "after");
    running.signal(Signal::TERM);
    let begun = Instant::now();
    running.end().code(0);
    assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
    let published = crate::published::Published::read(&out);
    assert_eq!(published.lines().into_iter().filter(|line| line.starts_with("after,")).count(), 1);
}

#[test]
fn without_a_state_it_says_that_it_starts_anew() {
    let mut job = Job::example("grep").args(["--log", "json", "--pattern", "a"]);
    job = job.source("lines", "tcp://127.0.0.1:0").sink("matches", "none:");
    let mut job = job.start();
    job.event("starts_anew");
    job.signal(Signal::TERM);
    job.end().code(0);
}
