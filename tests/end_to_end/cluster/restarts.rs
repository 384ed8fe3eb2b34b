//! Masters that end in the middle of a job, in every way: another one goes on, and what the job puts out is
//! what it puts out without faults.
//!
//! The fault is placed while batches are in flight: the job has come to a halt since nobody reads one of its
//! outputs; the other one, in files, is compared.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use rustix::process::Signal;

use super::crew::{Cluster, Tap};
use crate::job::{Job, Running};

pub(super) const WORDS: &str = "generate://words?records=40000&batch_records=500";

/// `word_count` with one output in files below `dir`, and one that has to be read.
pub(super) fn of_words(job: Job, dir: &Path) -> Job {
    let job = job.source("lines", WORDS).sink("windowed", "csv+stdout:");
    job.files("counts", "csv", dir)
}

/// All files below a directory, by their names.
pub(super) fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut open = vec![dir.to_owned()];
    while let Some(at) = open.pop() {
        for entry in fs::read_dir(&at).expect("it is a directory") {
            let path = entry.expect("it can be listed").path();
            if path.is_dir() {
                open.push(path);
                continue;
            }
            let name = path.strip_prefix(dir).expect("it is below").display().to_string();
            found.insert(name, fs::read(&path).expect("it can be read"));
        }
    }
    found
}

/// Checks the files that a cluster has written against those of one process.
#[track_caller]
pub(super) fn assert_as_without_faults(cluster: &Cluster) {
    let expected = cluster.path("expected");
    of_words(Job::example("word_count"), &expected).run().code(0);
    let (found, expected) = (files(&cluster.path("out")), files(&expected));
    assert!(expected.len() > 100, "{}", expected.len());
    let differs = expected.iter().find(|(name, bytes)| found.get(*name) != Some(bytes));
    assert!(differs.is_none(), "{:?} differs", differs.map(|(name, _)| name));
    assert_eq!(found.len(), expected.len());
}

/// A master of `word_count` that saves its state.
pub(super) fn master(cluster: &Cluster, at: SocketAddr) -> Job {
    let job = cluster.master_at(at, 2).args(["--checkpoint", "50ms"]);
    of_words(job, &cluster.path("out"))
}

/// A master that has come to a halt in the middle of its job, with its workers.
pub(super) struct Halted {
    pub(super) master: Running,
    pub(super) tap: Tap,
    pub(super) at: SocketAddr,
    pub(super) crew: Vec<Running>,
}

/// A job of two workers that has come to a halt.
pub(super) fn halted(cluster: &Cluster) -> Halted {
    halted_after(cluster, 2000)
}

/// A job of two workers that has come to a halt when so many lines of its output were read.
fn halted_after(cluster: &Cluster, lines: usize) -> Halted {
    let mut master = master(cluster, ([127, 0, 0, 1], 0).into()).unread().start();
    let mut tap = Tap::on(&mut master);
    let at = master.listening();
    let crew = ["w1", "w2"].map(|name| cluster.worker(name, at).start()).into_iter().collect();
    tap.read(lines);
    Halted { master, tap, at, crew }
}

/// Kills a process and waits for its end.
pub(super) fn kill(process: Running) {
    process.signal(Signal::KILL);
    process.end();
}

#[test]
fn a_killed_master_goes_on_where_it_was_with_the_same_workers() {
    let cluster = Cluster::new("word_count");
    let Halted { master: first, tap, at, mut crew } = halted(&cluster);
    kill(first);
    drop(tap);
    // Once more, in the middle of what has to be done again.
    let mut second = master(&cluster, at).unread().start();
    let mut tap = Tap::on(&mut second);
    let resumed = second.event("resumed");
    assert_eq!(resumed["term"], 2, "{resumed}");
    for worker in &mut crew {
        // The new one says so, at once: nobody waits for the silence of the old one.
        let gone = worker.event("master_gone");
        assert_eq!(gone["why"], "the peer is not the process it was");
    }
    tap.read(200);
    kill(second);
    drop(tap);
    let mut third = master(&cluster, at).start();
    assert_eq!(third.event("resumed")["term"], 3);
    third.end().code(0);
    crew.into_iter().for_each(|worker| drop(worker.end().code(0)));
    assert_as_without_faults(&cluster);
}

#[test]
fn everything_is_killed_and_started_again() {
    let cluster = Cluster::new("word_count");
    let Halted { master: first, tap: _tap, at, crew } = halted(&cluster);
    kill(first);
    crew.into_iter().for_each(kill);
    let second = master(&cluster, at).start();
    let crew = ["w1", "w3"].map(|name| cluster.worker(name, at).start());
    second.end().code(0);
    crew.into_iter().for_each(|worker| drop(worker.end().code(0)));
    assert_as_without_faults(&cluster);
}

/// Per state the last object of what counts: its batch, and whether it says only what had changed. Objects are called
/// `sSTAGE-pPARTITION-bBATCH-wWORKER-NUMBER`, and `-dNUMBER` more if they continue others.
fn counting(cluster: &Cluster) -> BTreeMap<String, (u64, bool)> {
    let mut newest = BTreeMap::new();
    for name in files(&cluster.state().join("saves")).into_keys() {
        let parts: Vec<&str> = name.split('-').collect();
        let batch = parts[2].trim_start_matches('b').parse().expect("a number");
        let last = newest.entry(format!("{}-{}", parts[0], parts[1])).or_insert((0, false));
        *last = (*last).max((batch, parts.len() > 5));
    }
    newest
}

#[test]
fn states_are_made_again_from_what_had_changed() {
    let cluster = Cluster::new("word_count");
    // States are saved after each batch: some batches later they continue what was saved before.
    let Halted { master: first, tap: _tap, at, crew } = halted_after(&cluster, 500_000);
    kill(first);
    crew.into_iter().for_each(kill);
    let mut second = master(&cluster, at).start();
    // From here on only what counts is there.
    second.listening();
    let states = counting(&cluster);
    let changes = states.values().filter(|(_, changes)| *changes).count();
    assert!(changes > 0, "{states:?}");
    let crew = ["w1", "w2"].map(|name| cluster.worker(name, at).start());
    second.end().code(0);
    crew.into_iter().for_each(|worker| drop(worker.end().code(0)));
    assert_as_without_faults(&cluster);
}

#[test]
fn a_worker_is_killed_while_its_master_starts_again() {
    let cluster = Cluster::new("word_count");
    let Halted { master: first, tap: _tap, at, mut crew } = halted(&cluster);
    kill(first);
    kill(crew.remove(0));
    let second = master(&cluster, at).start();
    let other = cluster.worker("w1", at).start();
    second.end().code(0);
    other.end().code(0);
    crew.remove(0).end().code(0);
    assert_as_without_faults(&cluster);
}

/// A master that waits for another one to go.
fn standby(cluster: &Cluster, first: SocketAddr) -> Running {
    let standby = of_words(cluster.master(2).args(["--checkpoint", "50ms"]), &cluster.path("out"));
    let mut standby = standby.args(["--standby"]).start();
    let follows = standby.event("follows");
    assert_eq!(follows["master"], first.to_string(), "{follows}");
    standby
}

#[test]
fn a_standby_takes_over_from_a_killed_master() {
    let cluster = Cluster::new("word_count");
    let Halted { master: first, tap: _tap, at, crew } = halted(&cluster);
    let mut standby = standby(&cluster, at);
    kill(first);
    crew.into_iter().for_each(kill);
    standby.event("takes_over");
    let at = standby.listening();
    let crew = ["w1", "w2"].map(|name| cluster.worker(name, at).start());
    standby.end().code(0);
    crew.into_iter().for_each(|worker| drop(worker.end().code(0)));
    assert_as_without_faults(&cluster);
}

#[test]
fn a_master_that_was_frozen_is_fenced_by_the_one_that_took_over() {
    let cluster = Cluster::new("word_count");
    let Halted { master: first, mut tap, at, crew } = halted(&cluster);
    let mut standby = standby(&cluster, at);
    first.signal(Signal::STOP);
    standby.event("takes_over");
    let next = standby.listening();
    let others = ["w3", "w4"].map(|name| cluster.worker(name, next).start());
    standby.event("recovering");
    // It wakes up with committed batches to publish, and with workers of its own.
    first.signal(Signal::CONT);
    tap.read_all();
    first.end().code(1).says(&["another master has taken over", "nothing is lost"]);
    standby.end().code(0);
    others.into_iter().for_each(|worker| drop(worker.end().code(0)));
    drop(crew);
    assert_as_without_faults(&cluster);
}

#[test]
fn of_two_masters_at_once_the_later_one_has_the_job() {
    let cluster = Cluster::new("word_count");
    let Halted { master: first, mut tap, crew, .. } = halted(&cluster);
    let mut second = master(&cluster, ([127, 0, 0, 1], 0).into()).start();
    let at = second.listening();
    let others = ["w3", "w4"].map(|name| cluster.worker(name, at).start());
    tap.read_all();
    first.end().code(1).says(&["another master has taken over"]);
    second.end().code(0);
    others.into_iter().for_each(|worker| drop(worker.end().code(0)));
    drop(crew);
    assert_as_without_faults(&cluster);
}

/// Changes the newest object below a directory of the state that holds something.
fn damage(cluster: &Cluster, below: &str, how: fn(&mut Vec<u8>)) {
    let dir = cluster.state().join(below);
    let mut names: Vec<_> = files(&dir).into_iter().filter(|(_, b)| b.len() > 90).collect();
    names.sort_by_key(|(name, _)| fs::metadata(dir.join(name)).and_then(|m| m.modified()).ok());
    let (name, mut bytes) = names.pop().expect("there are objects");
    how(&mut bytes);
    fs::write(dir.join(name), bytes).expect("it can be written");
}

#[test]
fn damaged_objects_are_noticed_and_older_ones_used() {
    let flip = |bytes: &mut Vec<u8>| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 4;
    };
    for (below, how) in [
        ("saves", flip as fn(&mut Vec<u8>)),
        ("saves", |bytes| bytes.truncate(bytes.len() / 2)),
        ("saves", Vec::clear),
        ("journal", flip),
        ("journal", |bytes| bytes.truncate(bytes.len() - 1)),
        ("journal", Vec::clear),
    ] {
        let cluster = Cluster::new("word_count");
        let Halted { master: first, tap: _tap, at, crew } = halted(&cluster);
        kill(first);
        crew.into_iter().for_each(kill);
        damage(&cluster, below, how);
        let second = master(&cluster, at).start();
        let crew = ["w1", "w2"].map(|name| cluster.worker(name, at).start());
        let done = second.end().code(0);
        if below == "journal" {
            done.says(&["\"warning\"", "journal"]);
        }
        crew.into_iter().for_each(|worker| drop(worker.end().code(0)));
        assert_as_without_faults(&cluster);
    }
}

#[test]
fn a_journal_of_another_kind_of_job_is_refused() {
    let cluster = Cluster::new("word_count");
    let Halted { master: first, tap: _tap, at, crew } = halted(&cluster);
    kill(first);
    crew.into_iter().for_each(kill);
    let other = master(&cluster, at).args(["--partitions", "5"]).run().code(1);
    other.says(&["has 8 partitions", "--partitions 8", "another --state"]);
}

#[test]
fn a_job_that_has_come_to_its_end_begins_anew() {
    let cluster = Cluster::new("word_count");
    for _ in 0..2 {
        let mut first = master(&cluster, ([127, 0, 0, 1], 0).into()).start();
        let at = first.listening();
        let crew = ["w1", "w2"].map(|name| cluster.worker(name, at).start());
        let done = first.end().code(0);
        assert!(!done.err.iter().any(|line| line.contains("\"resumed\"")), "{}", done.said());
        crew.into_iter().for_each(|worker| drop(worker.end().code(0)));
        assert_as_without_faults(&cluster);
        fs::remove_dir_all(cluster.path("out")).expect("it is there");
        fs::remove_dir_all(cluster.path("expected")).expect("it is there");
    }
}
