//! Kills that [`recovery`](super::super::recovery) and [`restarts`](super::super::restarts) do not cover:
//! two workers at once, one during the recovery of another, and a master at a known step of a batch.

use std::collections::BTreeMap;
use std::fs;

use rustix::process::Signal;

use super::super::crew::{Cluster, all_end, assert_same_lines, of_views, views_expected};
use super::super::recovery;
use super::super::restarts::{Halted, assert_as_without_faults, halted, kill, master};
use crate::job::{Job, Running, deadline};
use crate::published::Published;

#[test]
fn two_workers_are_killed_at_once() {
    let cluster = Cluster::new("page_views");
    let (mut master, mut tap, mut crew) = recovery::halted(&cluster, 4, of_views);
    crew[0].signal(Signal::KILL);
    crew[2].signal(Signal::KILL);
    master.event_with("recovering", |news| news["workers"] == 2);
    for name in ["w1", "w3"] {
        master.event_with("left", |news| news["worker"] == name);
    }
    tap.read_all();
    master.end().code(0);
    assert_same_lines(&tap.lines, &views_expected());
    crew.remove(3).end().code(0);
    crew.remove(1).end().code(0);
}

/// The newest count of each page below a directory.
fn newest(cluster: &Cluster, dir: &str) -> BTreeMap<String, String> {
    let published = Published::read(&cluster.path(dir));
    let lines = published.lines().into_iter();
    let counts = lines.map(|line| line.rsplit_once(',').expect("a page and its count"));
    counts.map(|(page, count)| (page.to_owned(), count.to_owned())).collect()
}

/// Waits until that many workers have joined.
fn all_join(master: &mut Running, workers: usize) {
    master.wait("all workers", |job| job.events("joined").count() == workers);
}

/// The number of published batches.
fn visible(cluster: &Cluster) -> usize {
    fs::read_dir(cluster.path("out")).map_or(0, Iterator::count)
}

/// Waits for that many more batches, and returns when the last one appears.
fn wait_for(cluster: &Cluster, more: usize) {
    let (until, deadline) = (visible(cluster) + more, deadline());
    while visible(cluster) < until {
        assert!(deadline.elapsed().is_zero(), "deadline while waiting for {more} batches");
        std::thread::yield_now();
    }
}

/// When a batch has just been published, the next one begins: workers learn of both from each other and from
/// the master.
#[test]
fn two_workers_are_killed_as_a_batch_ends_again_and_again() {
    let cluster = Cluster::new("page_views");
    let job = cluster.master(4).args(["--checkpoint", "500ms", "--interval", "200ms"]);
    let job = job.source("views", "generate://page_views?rate=5000");
    let job = job.args(["--summary", "json"]).files("counts", "csv", &cluster.path("out"));
    let mut master = job.start();
    let addr = master.listening();
    let mut crew: Vec<Running> = cluster.crew(&["w1", "w2", "w3", "w4"], addr);
    for turn in 1..=4 {
        all_join(&mut master, 2 + 2 * turn);
        crew.iter_mut().for_each(|worker| drop(worker.placed(1)));
        wait_for(&cluster, 4);
        let lost: Vec<Running> = crew.drain(..2).collect();
        lost.iter().for_each(|worker| worker.signal(Signal::KILL));
        lost.into_iter().for_each(|worker| drop(worker.end()));
        let names = [2 * turn + 3, 2 * turn + 4].map(|n| format!("w{n}"));
        crew.extend(names.map(|name| cluster.worker(&name, addr).start()));
        wait_for(&cluster, 2);
    }
    // A late one would wait for another master.
    all_join(&mut master, 12);
    cluster.ask(&["stop"]).code(0);
    let records = master.end().code(0).summary()["records"].clone();
    all_end(crew);
    let source = format!("generate://page_views?records={records}");
    let expected = Job::example("page_views").source("views", source);
    expected.files("counts", "csv", &cluster.path("expected")).run().code(0);
    assert_eq!(newest(&cluster, "out"), newest(&cluster, "expected"));
}

#[test]
fn a_worker_is_killed_during_the_recovery_of_another() {
    let cluster = Cluster::new("page_views");
    let (mut master, mut tap, mut crew) = recovery::halted(&cluster, 3, of_views);
    crew[0].signal(Signal::KILL);
    master.event_with("recovering", |news| news["workers"] == 2);
    // It has just been given the lost partitions.
    crew[1].signal(Signal::KILL);
    let second = master.event_with("recovering", |news| news["workers"] == 1);
    assert_eq!(second["moved"], 4, "it had inherited nothing: {second}");
    tap.read_all();
    master.end().code(0);
    assert_same_lines(&tap.lines, &views_expected());
    crew.remove(2).end().code(0);
}

/// A batch that is cut and not committed: its tasks cannot run, as all workers are frozen. And one that is
/// committed and not published: its output is not read.
#[test]
fn a_master_is_killed_at_each_step_of_a_batch() {
    for step in ["running", "publishing"] {
        let cluster = Cluster::new("word_count");
        let Halted { master: first, mut tap, at, crew } = halted(&cluster);
        if step == "running" {
            crew.iter().for_each(|worker| worker.signal(Signal::STOP));
            // The committed batch is published; the next ones wait for tasks.
            std::thread::spawn(move || tap.read_all());
        }
        let oldest = |status: &serde_json::Value| status["batches"][0].clone();
        let status = cluster.status_with(step, |status| oldest(status)["phase"] == step);
        kill(first);
        crew.iter().for_each(|worker| worker.signal(Signal::CONT));
        let mut second = master(&cluster, at).start();
        let resumed = second.event("resumed");
        assert!(resumed["again"].as_u64() > Some(0), "{resumed}, and before: {status}");
        assert!(resumed["first"].as_u64() > oldest(&status)["batch"].as_u64(), "{resumed}");
        second.end().code(0);
        all_end(crew);
        assert_as_without_faults(&cluster);
    }
}
