//! Workers killed while a job saves its state: others take over their partitions, and the output equals one
//! without faults.
//!
//! Each fault comes while batches are in flight, because the job is halted by its unread output.

use rustix::process::Signal;

use super::crew::{Cluster, Tap, assert_same_lines, of_views, partitions, views_expected};
use crate::job::{Job, Running};

/// A cluster with checkpoints, halted in the middle of its job, with that many workers.
pub(super) fn halted(
    cluster: &Cluster,
    workers: u32,
    job: impl Fn(Job) -> Job,
) -> (Running, Tap, Vec<Running>) {
    let master = cluster.master(workers).args(["--checkpoint", "50ms"]);
    let mut master = job(master).unread().start();
    let mut tap = Tap::on(&mut master);
    let addr = master.listening();
    let names: Vec<_> = (1..=workers).map(|n| format!("w{n}")).collect();
    let mut crew: Vec<_> = names.iter().map(|name| cluster.worker(name, addr).start()).collect();
    crew.iter_mut().for_each(|worker| drop(worker.placed(1)));
    tap.read(5000);
    (master, tap, crew)
}

#[test]
fn a_killed_worker_s_partitions_go_on_elsewhere() {
    let cluster = Cluster::new("page_views");
    let (mut master, mut tap, mut crew) = halted(&cluster, 3, of_views);
    crew[1].signal(Signal::KILL);
    let news = master.event("recovering");
    assert_eq!(news["workers"], 2, "{news}");
    let status = cluster.status();
    let owned = ["w1", "w2", "w3"].map(|name| partitions(&status, name));
    assert_eq!((owned[0].zip(owned[2]).map(|(a, b)| a + b), owned[1]), (Some(8), None), "{status}");
    tap.read_all();
    let done = master.end().code(0);
    assert!(done.err.iter().any(|line| line.contains("\"left\"") && line.contains("w2")));
    assert_same_lines(&tap.lines, &views_expected());
    for worker in crew.drain(..).enumerate().filter(|(at, _)| *at != 1).map(|(_, worker)| worker) {
        worker.end().code(0);
    }
}

#[test]
fn workers_are_killed_until_one_is_left() {
    let cluster = Cluster::new("page_views");
    let (mut master, mut tap, mut crew) = halted(&cluster, 3, of_views);
    crew[0].signal(Signal::KILL);
    master.event_with("recovering", |news| news["workers"] == 2);
    tap.read(3000);
    crew[2].signal(Signal::KILL);
    master.event_with("recovering", |news| news["workers"] == 1);
    tap.read_all();
    master.end().code(0);
    assert_same_lines(&tap.lines, &views_expected());
    crew.remove(1).end().code(0);
}

#[test]
fn a_new_worker_takes_over_from_a_killed_only_one() {
    let cluster = Cluster::new("page_views");
    let (mut master, mut tap, crew) = halted(&cluster, 1, of_views);
    crew[0].signal(Signal::KILL);
    master.event("left");
    let addr = master.listening();
    let next = cluster.worker("w2", addr).start();
    tap.read_all();
    master.end().code(0);
    assert_same_lines(&tap.lines, &views_expected());
    next.end().code(0);
}

/// A window, a shuffle by text keys, and batches of a compressed file, which only the master can read again.
#[test]
fn windows_and_carried_input_survive_too() {
    let cluster = Cluster::new("word_count");
    let text: String =
        (0..60_000u64).map(|n| format!("w{} w{} again\n", n % 997, n * n % 4999)).collect();
    let path = cluster.path("words.zst");
    std::fs::write(&path, zstd::encode_all(text.as_bytes(), 1).expect("it is text")).expect("room");
    let of_words = |job: Job| {
        let url = format!("file://{}?batch_records=1500&windows=batches", path.display());
        job.source("lines", url)
            .sink("windowed", "csv+stdout:?header=false")
            .sink("counts", "none:")
    };
    let expected = of_words(Job::example("word_count")).run().code(0).out;
    let (mut master, mut tap, crew) = halted(&cluster, 2, of_words);
    crew[0].signal(Signal::KILL);
    master.event("recovering");
    tap.read_all();
    master.end().code(0);
    assert_same_lines(&tap.lines, &expected);
}
