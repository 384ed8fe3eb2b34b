//! Workers that are drained in the middle of a job, by a client or a signal, hand over what they hold.

use rustix::process::Signal;

use super::crew::{Cluster, Tap, assert_same_lines, of_views, partitions, views_expected};
use crate::job::Running;

/// More lines than the batches begun while a job is halted can contain: a drained worker exits when its
/// batches are published.
const ENOUGH: usize = 8000;

/// A cluster with a halted job and two workers.
fn halted(cluster: &Cluster) -> (Running, Tap, Running, Running) {
    let mut master = of_views(cluster.master(2)).unread().start();
    let mut tap = Tap::on(&mut master);
    let addr = master.listening();
    let mut first = cluster.worker("w1", addr).start();
    let mut second = cluster.worker("w2", addr).start();
    first.placed(1);
    second.placed(1);
    tap.read(500);
    (master, tap, first, second)
}

#[test]
fn a_drained_worker_hands_over_and_leaves() {
    let cluster = Cluster::new("page_views");
    let (mut master, mut tap, mut first, second) = halted(&cluster);
    let done = cluster.ask(&["drain", "w1"]).code(0);
    done.says(&["`w1` hands over what it holds and leaves"]);
    master.event_with("draining", |event| event["worker"] == "w1");
    tap.read(ENOUGH);
    first.event("drained");
    first.end().code(0);
    let status = cluster.status();
    assert_eq!((partitions(&status, "w1"), partitions(&status, "w2")), (None, Some(8)), "{status}");

    // A second drain is accepted; afterwards no worker has that name.
    let refused = cluster.ask(&["drain", "w1"]).code(1);
    refused.says(&["there is no worker `w1`", "there are: w2"]);
    tap.read_all();
    let done = master.end().code(0);
    assert!(done.err.iter().all(|line| !line.contains("\"left\"")), "{}", done.said());
    assert_same_lines(&tap.lines, &views_expected());
    second.end().code(0);
}

#[test]
fn a_signal_drains_a_worker() {
    for signal in [Signal::TERM, Signal::INT] {
        let cluster = Cluster::new("page_views");
        let (master, mut tap, mut first, mut second) = halted(&cluster);
        second.signal(signal);
        second.event("draining");
        tap.read(ENOUGH);
        let done = second.end().code(0);
        assert!(done.said().contains("\"drained\""), "{}", done.said());
        assert_eq!(first.placed(2)["partitions"], 8);
        tap.read_all();
        master.end().code(0);
        assert_same_lines(&tap.lines, &views_expected());
        first.end().code(0);
    }
}

#[test]
fn every_worker_can_be_replaced_one_by_one() {
    let cluster = Cluster::new("page_views");
    let (mut master, mut tap, first, second) = halted(&cluster);
    let addr = master.listening();
    let mut old = vec![first, second];
    let mut new = Vec::new();
    for n in 1..=2 {
        let mut worker = cluster.worker(&format!("n{n}"), addr).start();
        worker.placed(1);
        new.push(worker);
        tap.read(2000);
        cluster.ask(&["drain", &format!("w{n}")]).code(0);
        tap.read(ENOUGH);
        old.remove(0).end().code(0);
    }
    tap.read_all();
    master.end().code(0);
    assert_same_lines(&tap.lines, &views_expected());
    for worker in new {
        worker.end().code(0);
    }
}

#[test]
fn the_last_worker_stays_until_there_is_another() {
    let cluster = Cluster::new("page_views");
    let (mut master, mut tap, mut first, second) = halted(&cluster);
    cluster.ask(&["drain", "w2"]).code(0);
    tap.read(ENOUGH);
    second.end().code(0);
    let refused = cluster.ask(&["drain", "w1"]).code(1);
    refused.says(&["`w1` is the only worker", "start another one first, or stop the job"]);
    // A signal does not remove the only worker either.
    first.signal(Signal::TERM);
    master.event_with("warning", |event| event.to_string().contains("`w1` cannot be drained"));
    let warning = first.event("warning").to_string();
    assert!(warning.contains("stays until there is another"), "{warning}");
    // Once there is another, it exits.
    let addr = master.listening();
    let mut next = cluster.worker("w3", addr).start();
    next.placed(1);
    tap.read(ENOUGH);
    first.end().code(0);
    tap.read_all();
    master.end().code(0);
    assert_same_lines(&tap.lines, &views_expected());
    next.end().code(0);
}
