//! Workers frozen for longer than their lease, which wake up with outdated tasks, states and connections.

use rustix::process::Signal;
use serde_json::Value;

use super::super::crew::{
    Cluster, Tap, all_end, assert_same_lines, of_views, partitions, views_expected,
};
use super::super::recovery;
use super::super::restarts::{Halted, assert_as_without_faults, halted, kill, master};
use crate::job::Ended;

/// Checks that a worker lost its master and was then placed again.
#[track_caller]
pub(super) fn assert_came_back(worker: &Ended) {
    let mut lines = worker.err.iter().skip_while(|line| !line.contains("\"master_gone\""));
    let placed = |line: &String| {
        let event = serde_json::from_str::<Value>(line).unwrap_or_default();
        event["event"] == "placed" && event["partitions"].as_u64() > Some(0)
    };
    assert!(lines.any(placed), "{}", worker.said());
}

/// Reads in small steps until a worker owns partitions, which are placed when a batch is cut.
pub(super) fn reads_until_owns(tap: &mut Tap, name: &str, status: impl Fn() -> Value) {
    while partitions(&status(), name).is_none_or(|partitions| partitions == 0) {
        tap.read(50);
    }
}

#[test]
fn a_frozen_worker_is_given_up_and_joins_again_when_it_wakes_up() {
    let cluster = Cluster::new("page_views");
    let (mut master, mut tap, crew) = recovery::halted(&cluster, 3, of_views);
    crew[1].signal(Signal::STOP);
    let left = master.event_with("left", |news| news["worker"] == "w2");
    assert!(left["why"].as_str().is_some_and(|why| why.contains("silent")), "{left}");
    master.event_with("recovering", |news| news["workers"] == 2);
    // The others go on without it.
    tap.read(4000);
    crew[1].signal(Signal::CONT);
    reads_until_owns(&mut tap, "w2", || cluster.status());
    tap.read_all();
    master.end().code(0);
    assert_same_lines(&tap.lines, &views_expected());
    let ended = all_end(crew);
    assert_came_back(&ended[1]);
}

#[test]
fn a_worker_wakes_up_in_the_time_of_another_master() {
    let cluster = Cluster::new("word_count");
    let Halted { master: first, tap: _tap, at, crew } = halted(&cluster);
    crew[0].signal(Signal::STOP);
    kill(first);
    let mut second = master(&cluster, at).unread().start();
    let mut tap = Tap::on(&mut second);
    assert_eq!(second.event("resumed")["term"], 2);
    let third = cluster.worker("w3", at).start();
    second.event("recovering");
    tap.read(200);
    crew[0].signal(Signal::CONT);
    reads_until_owns(&mut tap, "w1", || cluster.status());
    tap.read_all();
    second.end().code(0);
    third.end().code(0);
    let ended = all_end(crew);
    assert_came_back(&ended[0]);
    assert_as_without_faults(&cluster);
}
