//! A small disk that is full, below the saved states or below the whole state directory.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use super::super::crew::{ANY, Cluster, Tap, all_end, assert_same_lines};
use super::super::restarts::{SOME, assert_as_without_faults, of_words};
use crate::disk::Disk;
use crate::job::{Job, Running};

/// A worker that sees the disk.
fn worker(
    cluster: &Cluster,
    disk: &Disk,
    example: &str,
    name: &str,
    master: &mut Running,
) -> Running {
    let job = disk.example(example);
    let job = cluster.as_stranger(job, &format!("of-{name}"), name, master.listening());
    job.args(["--token-file".as_ref(), cluster.token().as_os_str()]).start()
}

/// Whether a worker has reported that it cannot save states.
fn cannot_save(worker: &mut Running) -> bool {
    worker.catch_up();
    worker
        .events("warning")
        .any(|e| e["message"].as_str().is_some_and(|m| m.contains("cannot be saved")))
}

/// Two partitions with 500 KB of state each, all of which changes in each batch, so all of it is saved.
/// Every batch publishes the same number of lines.
fn of_long_urls(job: Job, input: &Path) -> Job {
    let url = format!("file://{}?batch_records=500", input.display());
    job.source("views", url).sink("counts", "csv+stdout:?header=false").args(["--partitions", "2"])
}

#[test]
fn a_job_goes_on_while_its_states_cannot_be_saved() {
    let cluster = Cluster::new("page_views");
    // Only saved states are on it: the journal needs room while it is full.
    let disk = match Disk::mount(&cluster.state().join("saves")) {
        Ok(disk) => disk,
        Err(why) => return dstream_tests::not_run("mount", &why),
    };
    let input = cluster.path("views.json");
    let long = "x".repeat(2000);
    let view = |n: u64| format!("{{\"url\":\"{}{long}\",\"user\":{n}}}\n", n * 7919 % 500);
    fs::write(&input, (0..40_000).map(view).collect::<String>()).expect("there is room");
    let expected = of_long_urls(Job::example("page_views"), &input).run().code(0).out;

    let master = cluster.as_master(disk.example("page_views"), ANY, 2);
    let mut master = of_long_urls(master, &input).args(["--checkpoint", "50ms"]).unread().start();
    let mut tap = Tap::on(&mut master);
    let mut crew =
        ["w1", "w2"].map(|name| worker(&cluster, &disk, "page_views", name, &mut master));
    tap.read(6000);
    // A save in progress may still succeed, and the state that it replaces frees room: fill the disk again.
    // After a failed save none is tried for a while, so the other worker may never try.
    while !crew.iter_mut().any(cannot_save) {
        disk.fill(0);
        tap.read(200);
    }
    disk.make_room();
    tap.read_all();
    master.end().code(0);
    all_end(crew);
    assert_same_lines(&tap.lines, &expected);
}

#[test]
fn a_journal_that_cannot_be_written_ends_the_job_which_goes_on_when_there_is_room() {
    let cluster = Cluster::new("word_count");
    let disk = match Disk::mount(&cluster.state()) {
        Ok(disk) => disk,
        Err(why) => return dstream_tests::not_run("mount", &why),
    };
    let start = |at: SocketAddr| {
        let master = cluster.as_master(disk.example("word_count"), at, 2);
        of_words(master.args(["--checkpoint", "50ms"]), &cluster.path("out"))
    };
    let mut first = start(ANY).unread().start();
    let mut tap = Tap::on(&mut first);
    let at = first.listening();
    let crew = ["w1", "w2"].map(|name| worker(&cluster, &disk, "word_count", name, &mut first));
    tap.read(SOME);
    disk.fill(0);
    tap.read_all();
    first.end().code(1).says(&[
        "the journal cannot be written",
        "nothing is published until it can",
        "No space left on device",
        "start the master again",
    ]);
    // Another master has no room either.
    start(at).run().code(1).says(&["No space left on device"]);
    disk.make_room();
    let mut second = start(at).start();
    assert!(second.event("resumed")["term"].as_u64() > Some(1));
    second.end().code(0);
    all_end(crew);
    assert_as_without_faults(&cluster);
}
