//! Masters that end in the middle of a job, in every way: another one resumes, and the output equals one
//! without faults.
//!
//! Each fault comes while batches are in flight, because one output of the job is unread; the other one, in
//! files, is compared.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use rustix::process::Signal;

use super::crew::{ANY, Cluster, Tap, all_end};
use crate::job::{Ended, Job, Running};
use crate::published::{assert_same_trees, tree};

pub(super) const WORDS: &str = "generate://words?records=40000&batch_records=500&windows=batches";

/// Lines of several batches of [`of_words`], after some of which states are saved.
pub(super) const SOME: usize = 60_000;

/// `word_count` with one output in files below `dir`, and one to be read.
pub(super) fn of_words(job: Job, dir: &Path) -> Job {
    let job = job.source("lines", WORDS).sink("windowed", "csv+stdout:?header=false");
    job.files("counts", "csv", dir)
}

/// Compares the files of a cluster with those of one process.
#[track_caller]
pub(super) fn assert_as_without_faults(cluster: &Cluster) {
    let expected = cluster.path("expected");
    of_words(Job::example("word_count"), &expected).run().code(0);
    assert!(tree(&expected).len() > 100, "the test says something");
    assert_same_trees(&expected, &cluster.path("out"));
}

/// A master of `word_count` with checkpoints.
pub(super) fn master(cluster: &Cluster, at: SocketAddr) -> Job {
    let job = cluster.master_at(at, 2).args(["--checkpoint", "50ms"]);
    of_words(job, &cluster.path("out"))
}

/// A halted master with its workers.
pub(super) struct Halted {
    pub(super) master: Running,
    pub(super) tap: Tap,
    pub(super) at: SocketAddr,
    pub(super) crew: Vec<Running>,
}

/// A halted job with two workers.
pub(super) fn halted(cluster: &Cluster) -> Halted {
    halted_after(cluster, SOME)
}

/// A job with two workers, halted after that many output lines were read.
fn halted_after(cluster: &Cluster, lines: usize) -> Halted {
    let mut master = master(cluster, ANY).unread().start();
    let mut tap = Tap::on(&mut master);
    let at = master.listening();
    let crew = cluster.crew(&["w1", "w2"], at);
    tap.read(lines);
    Halted { master, tap, at, crew }
}

impl Halted {
    /// Kills all processes; returns the master's address.
    pub(super) fn kill(self) -> SocketAddr {
        let Self { master, tap, at, crew } = self;
        kill(master);
        crew.into_iter().for_each(kill);
        // Dropped last: a job whose output has no reader ends.
        drop(tap);
        at
    }
}

/// Starts a master that resumes the job, with these workers: it ends as without faults.
#[track_caller]
pub(super) fn goes_on(cluster: &Cluster, at: SocketAddr, workers: &[&str]) -> Ended {
    let next = master(cluster, at).start();
    let crew = cluster.crew(workers, at);
    let done = next.end().code(0);
    all_end(crew);
    assert_as_without_faults(cluster);
    done
}

/// Kills a process and waits for it.
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
    // Again, while interrupted batches run again.
    let mut second = master(&cluster, at).unread().start();
    let mut tap = Tap::on(&mut second);
    let resumed = second.event("resumed");
    assert_eq!(resumed["term"], 2, "{resumed}");
    for worker in &mut crew {
        // The new master resets the old connection at once.
        let gone = worker.event("master_gone");
        assert_eq!(gone["why"], "the peer is not the process it was");
    }
    tap.read(200);
    kill(second);
    drop(tap);
    let mut third = master(&cluster, at).start();
    assert_eq!(third.event("resumed")["term"], 3);
    third.end().code(0);
    all_end(crew);
    assert_as_without_faults(&cluster);
}

#[test]
fn everything_is_killed_and_started_again() {
    let cluster = Cluster::new("word_count");
    let at = halted(&cluster).kill();
    goes_on(&cluster, at, &["w1", "w3"]);
}

/// The last object of each state that counts: its batch, and whether it holds only changes. Names are
/// `sSTAGE-pPARTITION-bBATCH-wWORKER-NUMBER`, with the suffix `-dNUMBER` for objects with changes.
fn counting(cluster: &Cluster) -> BTreeMap<String, (u64, bool)> {
    let mut newest = BTreeMap::new();
    for name in tree(&cluster.state().join("saves")).into_keys() {
        let name = name.to_string_lossy();
        let parts: Vec<&str> = name.split('-').collect();
        // Interrupted writes have other names.
        let [stage, partition, batch, _, _, ref changes @ ..] = parts[..] else { continue };
        let batch = batch.trim_start_matches('b').parse().expect("a number");
        let last = newest.entry(format!("{stage}-{partition}")).or_insert((0, false));
        *last = (*last).max((batch, !changes.is_empty()));
    }
    newest
}

#[test]
fn states_are_made_again_from_what_had_changed() {
    let cluster = Cluster::new("word_count");
    // States are saved after each batch; after some batches they are chains.
    let at = halted_after(&cluster, 500_000).kill();
    let mut next = master(&cluster, at).start();
    // By now only objects that count are left.
    next.listening();
    let states = counting(&cluster);
    assert!(states.values().any(|(_, only_changes)| *only_changes), "{states:?}");
    let crew = cluster.crew(&["w1", "w2"], at);
    next.end().code(0);
    all_end(crew);
    assert_as_without_faults(&cluster);
}

#[test]
fn a_worker_is_killed_while_its_master_starts_again() {
    let cluster = Cluster::new("word_count");
    let Halted { master: first, tap: _tap, at, mut crew } = halted(&cluster);
    kill(first);
    kill(crew.remove(0));
    goes_on(&cluster, at, &["w1"]);
    all_end(crew);
}

/// A standby master.
pub(super) fn standby(cluster: &Cluster, first: SocketAddr) -> Running {
    let mut standby = master(cluster, ANY).args(["--standby"]).start();
    let follows = standby.event("follows");
    assert_eq!(follows["master"], first.to_string(), "{follows}");
    standby
}

#[test]
fn a_standby_takes_over_from_a_killed_master() {
    let cluster = Cluster::new("word_count");
    let job = halted(&cluster);
    let mut standby = standby(&cluster, job.at);
    job.kill();
    standby.event("takes_over");
    let at = standby.listening();
    let crew = cluster.crew(&["w1", "w2"], at);
    standby.end().code(0);
    all_end(crew);
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
    let others = cluster.crew(&["w3", "w4"], next);
    standby.event("recovering");
    // It wakes up with committed batches to publish and its own workers.
    first.signal(Signal::CONT);
    tap.read_all();
    first.end().code(1).says(&["another master has taken over", "nothing is lost"]);
    standby.end().code(0);
    all_end(others);
    drop(crew);
    assert_as_without_faults(&cluster);
}

#[test]
fn of_two_masters_at_once_the_later_one_has_the_job() {
    let cluster = Cluster::new("word_count");
    let Halted { master: first, mut tap, crew, .. } = halted(&cluster);
    let mut second = master(&cluster, ANY).start();
    let at = second.listening();
    let others = cluster.crew(&["w3", "w4"], at);
    tap.read_all();
    first.end().code(1).says(&["another master has taken over"]);
    second.end().code(0);
    all_end(others);
    drop(crew);
    assert_as_without_faults(&cluster);
}

#[test]
fn a_master_that_cannot_listen_takes_nothing_over() {
    let cluster = Cluster::new("word_count");
    let Halted { master: first, mut tap, at, crew } = halted(&cluster);
    master(&cluster, at).run().code(1).says(&[&at.to_string(), "in use"]);
    tap.read_all();
    first.end().code(0);
    all_end(crew);
    assert_as_without_faults(&cluster);
}

/// Changes the newest non-empty object below a directory, or the newest of each saved state.
fn damage(cluster: &Cluster, below: &str, how: fn(&mut Vec<u8>)) {
    let dir = cluster.state().join(below);
    let mut objects: Vec<_> = tree(&dir).into_iter().filter(|(_, b)| b.len() > 90).collect();
    objects.sort_by_key(|(name, _)| fs::metadata(dir.join(name)).and_then(|m| m.modified()).ok());
    // `sN-pN-bN…`: stage, partition, batch.
    let state = |name: &Path| {
        let name = name.to_string_lossy();
        name.split_once("-b").map(|(state, _)| state.to_owned())
    };
    let newest: BTreeMap<_, _> = objects.into_iter().map(|o| (state(&o.0), o)).collect();
    assert!(!newest.is_empty(), "there are objects");
    for (name, mut bytes) in newest.into_values() {
        how(&mut bytes);
        fs::write(dir.join(name), bytes).expect("it can be written");
    }
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
        let at = halted(&cluster).kill();
        if below == "saves" {
            // A master removes objects that do not count before it listens.
            let mut next = master(&cluster, at).start();
            next.listening();
            kill(next);
        }
        damage(&cluster, below, how);
        let done = goes_on(&cluster, at, &["w1", "w2"]);
        done.says(match below {
            "saves" => &["a saved state cannot be read, an older one is used"],
            _ => &["\"warning\"", "journal"],
        });
    }
}

#[test]
fn options_that_do_not_fit_are_refused_and_nothing_is_taken_over() {
    let cluster = Cluster::new("word_count");
    let job = halted(&cluster);
    let other = || master(&cluster, ANY).args(["--partitions", "5"]).run().code(1);
    other().says(&["has 8 partitions", "--partitions 8", "another --state"]);
    // The current master goes on; a later one gets the same error.
    let at = job.kill();
    other().says(&["has 8 partitions"]);
    let done = goes_on(&cluster, at, &["w1", "w2"]);
    let resumed = done.err.iter().find(|line| line.contains("\"resumed\"")).expect("it goes on");
    assert!(resumed.contains("\"term\":2"), "only the first one has had it: {resumed}");
}

#[test]
fn a_job_that_has_come_to_its_end_begins_anew() {
    let cluster = Cluster::new("word_count");
    for _ in 0..2 {
        let mut first = master(&cluster, ANY).start();
        let at = first.listening();
        let crew = cluster.crew(&["w1", "w2"], at);
        let done = first.end().code(0);
        assert!(!done.err.iter().any(|line| line.contains("\"resumed\"")), "{}", done.said());
        all_end(crew);
        assert_as_without_faults(&cluster);
        fs::remove_dir_all(cluster.path("out")).expect("it is there");
        fs::remove_dir_all(cluster.path("expected")).expect("it is there");
    }
}
