//! Processes that are killed where [`recovery`](super::super::recovery) and
//! [`restarts`](super::super::restarts) do not: two at once, one during the recovery of another, and a
//! master at a known step of a batch's life.

use rustix::process::Signal;

use super::super::crew::{Cluster, all_end, assert_same_lines, of_views, views_expected};
use super::super::recovery;
use super::super::restarts::{Halted, assert_as_without_faults, halted, kill, master};

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

#[test]
fn a_worker_is_killed_during_the_recovery_of_another() {
    let cluster = Cluster::new("page_views");
    let (mut master, mut tap, mut crew) = recovery::halted(&cluster, 3, of_views);
    crew[0].signal(Signal::KILL);
    master.event_with("recovering", |news| news["workers"] == 2);
    // It has just been told what it inherits.
    crew[1].signal(Signal::KILL);
    let second = master.event_with("recovering", |news| news["workers"] == 1);
    assert_eq!(second["moved"], 4, "it had inherited nothing: {second}");
    tap.read_all();
    master.end().code(0);
    assert_same_lines(&tap.lines, &views_expected());
    crew.remove(2).end().code(0);
}

/// A batch whose cut is durable and that is not committed: its tasks cannot run, since all workers are
/// frozen. And one that is committed and not published: nobody reads its output.
#[test]
fn a_master_is_killed_at_each_step_of_a_batch() {
    for step in ["running", "publishing"] {
        let cluster = Cluster::new("word_count");
        let Halted { master: first, mut tap, at, crew } = halted(&cluster);
        if step == "running" {
            crew.iter().for_each(|worker| worker.signal(Signal::STOP));
            // What was committed is published; what comes then waits for tasks.
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
