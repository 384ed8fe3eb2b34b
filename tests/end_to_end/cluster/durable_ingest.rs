//! `--ingest durable`, which a local job with `--state` has: an acknowledged record outlives a kill of everything, and
//! counts once.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use rustix::process::Signal;

use super::one_process::published;
use super::post::post;
use super::restarts::kill;
use crate::job::{Job, Running, listens_at};

/// A grep of what is posted.
fn grep(state: &Path, out: &Path, args: &[&str]) -> Job {
    let job = Job::example("grep").args(["--log", "json", "--pattern", "k", "--state"]);
    let job = job.args([state]).args(args).source("lines", "http://127.0.0.1:0/in");
    job.files("matches", "text", out)
}

fn address(job: &mut Running) -> SocketAddr {
    listens_at(&job.event("receiving"))
}

/// Posts a line, and whether it was acknowledged.
fn acknowledged(addr: SocketAddr, line: &str) -> bool {
    post(addr, "/in", &format!("{line}\n")).is_ok_and(|status| status.contains(" 200 "))
}

/// Starts a job as often as told, posts more lines each time, and kills it. Returns what was acknowledged.
fn killed(rounds: u32, start: impl Fn() -> Running) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for round in 0..rounds {
        let mut job = start();
        let addr = address(&mut job);
        // Rounds end in different phases of batches and saved states.
        let lines = (0..10 + 7 * round).map(|n| format!("k{round}-{n}"));
        all.extend(lines.filter(|line| acknowledged(addr, line)));
        kill(job);
    }
    all
}

/// Goes on until all of these are published, stops, and checks that each was published once.
fn all_are_published_once(mut job: Running, out: &Path, acknowledged: &BTreeSet<String>) {
    job.wait("all acknowledged records are published", |_| {
        let there: BTreeSet<String> = published(out).into_iter().collect();
        acknowledged.is_subset(&there)
    });
    job.signal(Signal::TERM);
    job.end().code(0);
    let lines = published(out);
    let distinct: BTreeSet<&String> = lines.iter().collect();
    assert_eq!(distinct.len(), lines.len(), "some are published twice");
}

#[test]
fn what_no_batch_has_outlives_a_kill() {
    let dir = tempfile::tempdir().expect("a directory");
    let (state, out) = (dir.path().join("state"), dir.path().join("out"));
    // It is killed long before its first batch.
    let start = || grep(&state, &out, &["--interval", "5s", "--checkpoint", "200ms"]).start();
    let all = killed(3, start);
    assert_eq!(all.len(), 10 + 17 + 24, "it answered to the end");
    let log = state.join("ingest/w1");
    let mut job = start();
    job.wait("nothing of the log is needed any more", |_| {
        fs::read_dir(&log).expect("a log").next().is_none()
    });
    all_are_published_once(job, &out, &all);
}

#[test]
fn kills_at_any_time_lose_nothing_acknowledged() {
    let dir = tempfile::tempdir().expect("a directory");
    let (state, out) = (dir.path().join("state"), dir.path().join("out"));
    let start = || grep(&state, &out, &["--interval", "50ms", "--checkpoint", "200ms"]).start();
    let all = killed(8, start);
    assert!(all.len() > 200, "the test says something: {}", all.len());
    all_are_published_once(start(), &out, &all);
}

#[test]
fn all_processes_of_a_local_cluster_are_killed_at_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let (state, out) = (dir.path().join("state"), dir.path().join("out"));
    let args = ["--workers", "2", "--interval", "100ms", "--checkpoint", "500ms"];
    // Its workers end with it.
    let start = || grep(&state, &out, &args).start();
    let all = killed(3, start);
    all_are_published_once(start(), &out, &all);
}

#[test]
fn what_a_stop_at_once_leaves_is_processed_by_the_next_start() {
    let dir = tempfile::tempdir().expect("a directory");
    let (state, out) = (dir.path().join("state"), dir.path().join("out"));
    let mut job = grep(&state, &out, &["--interval", "5s"]).start();
    let addr = address(&mut job);
    let all: BTreeSet<String> = (0..5).map(|n| format!("k{n}")).collect();
    assert!(all.iter().all(|line| acknowledged(addr, line)));
    Job::example("grep").args(["stop", "--now", "--state"]).args([&state]).run().code(0);
    job.end();
    let job = grep(&state, &out, &["--interval", "5s"]).start();
    all_are_published_once(job, &out, &all);
}

#[test]
fn a_second_process_with_the_same_state_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let (state, out) = (dir.path().join("state"), dir.path().join("out"));
    let mut job = grep(&state, &out, &["--interval", "100ms"]).start();
    let addr = address(&mut job);
    let pid = job.pid().to_string();
    let second = grep(&state, &dir.path().join("other"), &[]).run().code(2);
    second.says(&[&pid, "JOB stop"]);
    assert!(acknowledged(addr, "k"), "the first goes on");
    all_are_published_once(job, &out, &BTreeSet::from(["k".to_owned()]));
}
