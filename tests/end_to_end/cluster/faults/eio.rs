//! One error of a disk when a directory is brought to it: what a second fsync says is worth nothing, so the process
//! writes nothing more there, and ends at once. Another one goes on.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use super::super::crew::{ANY, Cluster, all_end};
use super::super::preload::library;
use crate::job::{Job, Running, binary};
use crate::published::Published;

/// From when an error may come to the end of the process: something is written there several times in a second. The machine
/// may be busy.
const SOON: Duration = Duration::from_secs(5);

/// A process of which one fsync fails, when it is told.
struct Disk(PathBuf);

impl Disk {
    fn new(cluster: &Cluster, name: &str) -> Self {
        Self(cluster.path(name))
    }

    fn job(&self) -> Job {
        let mut command = Command::new(binary("page_views"));
        command.env("LD_PRELOAD", library("faults/eio.c")).env("DSTREAM_TEST_EIO", &self.0);
        Job::of(command)
    }

    /// The next fsync of a directory fails.
    fn fail(&self, dir: &Path) {
        let dir = dir.canonicalize().expect("it is there");
        let beside = self.0.with_extension("new");
        fs::write(&beside, dir.as_os_str().as_encoded_bytes()).expect("there is room");
        fs::rename(&beside, &self.0).expect("there is room");
    }
}

/// A master over made-up views that come for ever.
fn live(cluster: &Cluster, job: Job, at: std::net::SocketAddr, workers: u32) -> Job {
    let job =
        cluster.as_master(job, at, workers).args(["--checkpoint", "500ms", "--interval", "250ms"]);
    let job = job.source("views", "generate://page_views?rate=500");
    job.files("counts", "csv", &cluster.path("out"))
}

/// How long a process takes to write something there, and to end after that has failed.
fn ends(process: &Running, disk: &Disk, dir: &Path) -> Duration {
    let begun = Instant::now();
    disk.fail(dir);
    assert!(process.ends_within(SOON), "it lives on");
    begun.elapsed()
}

#[test]
fn a_master_whose_journal_is_not_brought_to_the_disk_ends_at_once_and_the_next_one_goes_on() {
    let cluster = Cluster::new("page_views");
    let disk = Disk::new(&cluster, "order");
    let mut master = live(&cluster, disk.job(), ANY, 2).start();
    let at = master.listening();
    let crew = cluster.crew(&["w1", "w2"], at);
    master.wait("batches", |job| job.events("batch").count() >= 2);
    let took = ends(&master, &disk, &cluster.state().join("journal"));
    eprintln!("the master has ended after {} ms", took.as_millis());
    let journal = format!("{}/journal", cluster.state().display());
    master.end().code(1).says(&[
        &journal,
        "its directory could not be brought to the disk",
        "Input/output error",
        "see to the disk",
    ]);
    let mut next = live(&cluster, Job::example("page_views"), at, 2).start();
    assert_eq!(next.event("resumed")["term"], 2);
    next.wait("batches", |job| job.events("batch").count() >= 2);
    next.signal(Signal::TERM);
    next.end().code(0);
    all_end(crew);
    assert!(!Published::read(&cluster.path("out")).0.is_empty());
}

#[test]
fn a_worker_whose_states_are_not_brought_to_the_disk_leaves_at_once_and_the_others_go_on() {
    let cluster = Cluster::new("page_views");
    let disk = Disk::new(&cluster, "order");
    let mut master = live(&cluster, Job::example("page_views"), ANY, 2).start();
    let at = master.listening();
    let crew = cluster.crew(&["w1"], at);
    let job = cluster.as_stranger(disk.job(), "of-w2", "w2", at);
    let worker = job.args(["--token-file".as_ref(), cluster.token().as_os_str()]).start();
    master.wait("batches", |job| job.events("batch").count() >= 2);
    let took = ends(&worker, &disk, &cluster.state().join("saves"));
    eprintln!("the worker has ended after {} ms", took.as_millis());
    let saves = format!("{}/saves", cluster.state().display());
    worker.end().code(1).says(&[&saves, "Input/output error", "see to the disk"]);
    let before = master.events("batch").count();
    master.wait("batches", |job| job.events("batch").count() >= before + 2);
    master.signal(Signal::TERM);
    master.end().code(0);
    all_end(crew);
}

#[test]
fn a_worker_that_joins_while_the_disk_of_its_master_fails_tries_again() {
    let cluster = Cluster::new("page_views");
    let disk = Disk::new(&cluster, "order");
    let mut master = live(&cluster, disk.job(), ANY, 1).start();
    let at = master.listening();
    disk.fail(&cluster.state().join("authority/tokens"));
    let mut worker = cluster.worker("w1", at).start();
    let refused =
        |event: &Value| event["message"].as_str().is_some_and(|text| text.contains("trying on"));
    worker.event_with("warning", refused);
    let begun = Instant::now();
    worker.placed(1);
    eprintln!("the worker has joined {} ms later", begun.elapsed().as_millis());
    master.event("batch");
    master.signal(Signal::TERM);
    master.end().code(0);
    worker.end().code(0);
}
