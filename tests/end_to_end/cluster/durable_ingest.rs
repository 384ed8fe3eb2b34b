//! `--ingest durable`, which a local job with `--state` has, and a cluster can have: an acknowledged record outlives a kill
//! of everything, and counts once.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use rustix::process::Signal;

use super::crew::{Cluster, free_port};
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

/// A master and its workers, each started by itself.
struct Apart {
    master: Running,
    crew: Vec<(&'static str, Running)>,
}

impl Apart {
    fn start(cluster: &Cluster, at: SocketAddr, names: &[&'static str], interval: &str) -> Self {
        let job = cluster.as_master(Job::example("grep"), at, names.len() as u32);
        let job = job.args(["--pattern", "k", "--ingest", "durable", "--checkpoint", "300ms"]);
        let job = job.args(["--interval", interval]).source("lines", "http://127.0.0.1:0/in");
        let mut master = job.files("matches", "text", &cluster.path("out")).start();
        master.listening();
        let crew = names.iter().map(|name| (*name, cluster.worker(name, at).start())).collect();
        Self { master, crew }
    }

    /// Posts lines. The name of the worker that received them, and those that were acknowledged.
    fn post(&mut self, lines: impl Iterator<Item = String>) -> (String, BTreeSet<String>) {
        let event = self.master.event("receiving");
        let addr = listens_at(&event);
        let receiver = event["worker"].as_str().expect("it has a name").to_owned();
        (receiver, lines.filter(|line| acknowledged(addr, line)).collect())
    }

    /// Kills every process at once.
    fn kill(self) {
        let all: Vec<Running> =
            std::iter::once(self.master).chain(self.crew.into_iter().map(|(_, w)| w)).collect();
        all.iter().for_each(|process| process.signal(Signal::KILL));
        all.into_iter().for_each(|process| drop(process.end()));
    }
}

#[test]
fn all_processes_of_a_cluster_are_killed_at_once() {
    let (cluster, at) = (Cluster::new("grep"), free_port());
    let start = || Apart::start(&cluster, at, &["w1", "w2"], "100ms");
    let mut all = BTreeSet::new();
    for round in 0..5 {
        let mut apart = start();
        let (_, more) = apart.post((0..10 + 7 * round).map(|n| format!("k{round}-{n}")));
        assert!(!more.is_empty(), "it answers");
        all.extend(more);
        apart.kill();
    }
    let Apart { master, crew } = start();
    all_are_published_once(master, &cluster.path("out"), &all);
    crew.into_iter().for_each(|(_, worker)| drop(worker.end().code(0)));
}

#[test]
fn a_worker_leaves_once_no_batch_needs_what_its_log_has() {
    let (cluster, at) = (Cluster::new("grep"), free_port());
    // Its batch is made long after the worker could have left.
    let mut apart = Apart::start(&cluster, at, &["w1", "w2"], "3s");
    let (receiver, all) = apart.post((0..20).map(|n| format!("k{n}")));
    assert_eq!(all.len(), 20, "it answered to the end");
    cluster.ask(&["drain", &receiver]).code(0);
    let leaver = apart.crew.iter().position(|(name, _)| *name == receiver).expect("it is one");
    apart.crew.remove(leaver).1.end().code(0);
    let other = apart.crew[0].0;
    apart.kill();
    let Apart { master, crew } = Apart::start(&cluster, at, &[other], "3s");
    all_are_published_once(master, &cluster.path("out"), &all);
    crew.into_iter().for_each(|(_, worker)| drop(worker.end().code(0)));
}

#[test]
fn a_worker_that_could_not_find_its_log_again_is_refused() {
    let (cluster, at) = (Cluster::new("grep"), free_port());
    let mut apart = Apart::start(&cluster, at, &["w1"], "100ms");
    let (_, all) = apart.post(std::iter::once("k".to_owned()));
    let nameless = Job::example("grep").args(["--role", "worker", "--master", &at.to_string()]);
    let nameless = nameless.args(["--token-file".as_ref(), cluster.token().as_os_str()]);
    let nameless = nameless.args(["--state".as_ref(), cluster.path("nameless").as_os_str()]);
    nameless.run().code(1).says(&["--ingest durable", "--name NAME"]);
    all_are_published_once(apart.master, &cluster.path("out"), &all);
}
