//! Savepoints: a job is killed, and another one with other workers and state starts from a savepoint of the
//! first. Together they give the output of one job.
//!
//! The first job is halted because one of its outputs is unread; the other one, in files, is compared.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::crew::{Cluster, all_end};
use super::restarts::{Halted, WORDS, halted};
use crate::job::{Ended, Job};
use crate::published::{Tree, assert_part_of, tree};

/// `word_count` on the same words, with only the output in files.
fn quiet(job: Job, dir: &Path) -> Job {
    job.source("lines", WORDS).sink("windowed", "none:").files("counts", "csv", dir)
}

/// The output of `JOB savepoint --json`.
fn savepoint(cluster: &Cluster, name: &[&str]) -> Value {
    let done = cluster.ask(&[&["savepoint", "--json"], name].concat()).code(0);
    serde_json::from_str(&done.out.concat()).expect("it is JSON")
}

fn dir(savepoint: &Value) -> PathBuf {
    let url = savepoint["url"].as_str().expect("it says where it is");
    PathBuf::from(url.strip_prefix("file://").expect("it is a directory"))
}

fn number(savepoint: &Value, what: &str) -> u64 {
    savepoint[what].as_u64().expect("it is a number")
}

/// A job with three own workers and another state, started from a savepoint.
fn from(cluster: &Cluster, savepoint: &Path, out: &str) -> Ended {
    let job = quiet(Job::example("word_count"), &cluster.path(out));
    let job = job.args(["--workers", "3", "--log", "json", "--checkpoint", "50ms"]);
    let job = job.args(["--state".into(), cluster.path(&format!("{out}.state"))]);
    job.args(["--from".as_ref(), savepoint]).run()
}

/// Checks that two sets of files agree where they overlap, and together equal those of a job in one process.
#[track_caller]
fn assert_together(cluster: &Cluster, one: &str, other: &str) {
    let expected = cluster.path("expected");
    if !expected.is_dir() {
        quiet(Job::example("word_count"), &expected).run().code(0);
    }
    let expected = tree(&expected);
    let mut found = Tree::new();
    for dir in [one, other] {
        let of_one = tree(&cluster.path(dir));
        assert!(!of_one.is_empty() && of_one.len() < expected.len(), "{dir}: {}", of_one.len());
        assert_part_of(&of_one, &expected);
        found.extend(of_one);
    }
    assert_eq!(found.len(), expected.len());
}

#[test]
fn another_cluster_goes_on_from_the_middle_of_a_job() {
    let cluster = Cluster::new("word_count");
    let mut job = halted(&cluster);
    let first = savepoint(&cluster, &["first"]);
    let place = cluster.state().join("savepoints/first");
    assert_eq!((&first["name"], dir(&first)), (&"first".into(), place));
    let again = cluster.ask(&["savepoint", "first"]).code(1);
    again.says(&["savepoints/first already", "another name"]);
    job.tap.read(30_000);
    let second = savepoint(&cluster, &[]);
    assert!(number(&second, "cut") > number(&first, "cut"), "{first} {second}");
    let name = second["name"].as_str().expect("it has one");
    assert!(name.starts_with(&format!("batch-{}", number(&second, "published"))), "{second}");
    job.kill();
    let (first, second) = (dir(&first), dir(&second));
    let before = tree(&first);
    for (savepoint, out) in [(&first, "out1"), (&second, "out2"), (&first, "out3")] {
        from(&cluster, savepoint, out).code(0).says(&["\"resumed\""]);
        assert_together(&cluster, "out", out);
    }
    assert_eq!(tree(&first), before, "jobs leave it as it was");
}

#[test]
fn a_job_does_not_begin_with_a_savepoint_where_there_is_one_or_with_no_savepoint() {
    let cluster = Cluster::new("word_count");
    let job = halted(&cluster);
    let savepoint = dir(&savepoint(&cluster, &["a"]));
    let begin = |state: PathBuf, savepoint: &Path, more: &[&str]| {
        let job = quiet(Job::example("word_count"), &cluster.path("other"));
        let job = job.args(["--workers", "3", "--checkpoint", "50ms"]).args(more);
        job.args(["--state".as_ref(), state.as_os_str(), "--from".as_ref(), savepoint.as_os_str()])
            .run()
    };
    // A second start attempt does not disturb the running job.
    begin(cluster.state(), &savepoint, &[]).code(1).says(&["a job in", "leave --from away"]);
    let other = cluster.path("other.state");
    let missing = begin(other.clone(), &savepoint.with_file_name("b"), &[]).code(1);
    missing.says(&["no savepoint in", "savepoints/b"]);
    begin(other.clone(), Path::new("a"), &[])
        .code(1)
        .says(&["no savepoint in", "other.state/savepoints/a"]);
    let parted = begin(other.clone(), &savepoint, &["--partitions", "5"]).code(1);
    parted.says(&["savepoints/a has 8 partitions", "--partitions 8"]);
    cluster.status();
    for name in tree(&savepoint).into_keys() {
        let path = savepoint.join(&name);
        let whole = fs::read(&path).expect("it is there");
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 1;
        fs::write(&path, flipped).expect("it can be written");
        begin(other.clone(), &savepoint, &[])
            .code(1)
            .says(&["the savepoint", "savepoints/a is damaged"]);
        fs::write(&path, whole).expect("it can be written");
    }
    job.kill();
}

#[test]
fn a_job_that_saves_nothing_has_no_savepoint() {
    let cluster = Cluster::new("word_count");
    cluster.ask(&["savepoint"]).code(1).says(&["no master of `word_count`"]);
    let mut master = quiet(cluster.master(1), &cluster.path("out")).start();
    master.listening();
    cluster.ask(&["savepoint"]).code(1).says(&["--checkpoint INTERVAL"]);
    cluster.ask(&["stop", "--now"]).code(0);
    master.end().code(0);
    let alone = Job::example("word_count").args(["--from", "a/b"]).run().code(2);
    alone.says(&["--from", "--checkpoint INTERVAL"]);
}

#[test]
fn a_job_with_pushed_streams_has_no_savepoint() {
    let cluster = Cluster::new("word_count");
    let job = cluster.master(1).args(["--checkpoint", "50ms"]);
    let mut master = job.source("lines", "tcp://127.0.0.1:0").sink("counts", "none:").start();
    master.listening();
    cluster.ask(&["savepoint"]).code(1).says(&["records are pushed", "same --state"]);
    cluster.ask(&["stop", "--now"]).code(0);
    master.end().code(0);
}

#[test]
fn where_a_job_has_come_to_its_end_one_begins_with_a_savepoint_of_it() {
    let cluster = Cluster::new("word_count");
    let Halted { master, mut tap, crew, .. } = halted(&cluster);
    savepoint(&cluster, &["a"]);
    tap.read_all();
    master.end().code(0);
    all_end(crew);
    cluster.ask(&["savepoint"]).code(1).says(&["no master of `word_count`"]);
    // By name, since it is in the same state directory.
    let again = quiet(Job::example("word_count"), &cluster.path("again"));
    let again =
        again.args(["--workers", "3", "--log", "json", "--checkpoint", "50ms", "--from", "a"]);
    let again = again.args(["--state".as_ref(), cluster.state().as_os_str()]).run().code(0);
    again.says(&["\"resumed\""]);
    let (found, expected) = (tree(&cluster.path("again")), tree(&cluster.path("out")));
    assert!(!found.is_empty() && found.len() < expected.len());
    assert_part_of(&found, &expected);
}
