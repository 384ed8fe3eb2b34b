//! A standby beside a master that is stopped, leaves, or is killed while stopping: the job ends or goes on,
//! as asked.

use rustix::process::Signal;

use super::crew::{ANY, Cluster, Tap, all_end};
use super::restarts::{Halted, assert_as_without_faults, goes_on, halted, kill, master, standby};
use crate::published::tree;

/// The number of published batches of a cluster.
fn published(cluster: &Cluster) -> usize {
    tree(&cluster.path("out")).keys().filter(|path| path.ends_with("_manifest.json")).count()
}

#[test]
fn a_standby_ends_with_a_job_that_is_stopped() {
    type Way = (&'static str, fn(&Cluster, &Halted));
    let ways: [Way; 3] = [
        ("a client", |cluster, _| drop(cluster.ask(&["stop"]).code(0))),
        ("a client, at once", |cluster, _| drop(cluster.ask(&["stop", "--now"]).code(0))),
        ("a signal", |_, job| job.master.signal(Signal::TERM)),
    ];
    for (way, stop) in ways {
        let cluster = Cluster::new("word_count");
        let job = halted(&cluster);
        let standby = standby(&cluster, job.at);
        stop(&cluster, &job);
        let Halted { master: mut first, mut tap, at, crew } = job;
        first.wait(way, |job| job.events("stop_asked").chain(job.events("stop")).next().is_some());
        tap.read_all();
        first.end();
        all_end(crew);
        let over = standby.end().code(0);
        assert!(over.said().contains("\"job_over\""), "{way}: {}", over.said());
        assert!(published(&cluster) < 80, "{way}: the job had more to do");
        // A new start resumes the stopped job.
        goes_on(&cluster, at, &["w1", "w2"]);
    }
}

#[test]
fn a_standby_ends_with_a_job_that_has_read_all_its_input() {
    let cluster = Cluster::new("word_count");
    let job = halted(&cluster);
    let standby = standby(&cluster, job.at);
    let Halted { master: first, mut tap, crew, .. } = job;
    tap.read_all();
    first.end().code(0);
    all_end(crew);
    let over = standby.end().code(0);
    assert!(over.said().contains("\"job_over\""), "{}", over.said());
    assert_as_without_faults(&cluster);
}

#[test]
fn a_master_that_leaves_on_a_signal_hands_its_job_to_the_standby() {
    let cluster = Cluster::new("word_count");
    let mut first = master(&cluster, ANY).args(["--on-signal", "leave"]).unread().start();
    let mut tap = Tap::on(&mut first);
    let at = first.listening();
    let mut crew = cluster.crew(&["w1", "w2"], at);
    tap.read(1000);
    let mut standby = standby(&cluster, at);
    first.signal(Signal::TERM);
    standby.event("takes_over");
    for worker in &mut crew {
        worker.event("master_gone");
    }
    // Its output was unread, and it left nevertheless.
    drop(tap);
    first.end().code(0);
    let next = standby.listening();
    let others = cluster.crew(&["w3", "w4"], next);
    standby.end().code(0);
    all_end(others);
    drop(crew);
    assert_as_without_faults(&cluster);
}

#[test]
fn a_standby_completes_a_stop_that_was_begun() {
    let cluster = Cluster::new("word_count");
    let job = halted(&cluster);
    let mut standby = standby(&cluster, job.at);
    cluster.ask(&["stop"]).code(0);
    // Its output is unread, so the stop cannot complete.
    let Halted { master: first, tap, at, crew } = job;
    kill(first);
    drop(tap);
    let next = standby.listening();
    let others = cluster.crew(&["w3", "w4"], next);
    standby.end().code(0);
    all_end(others);
    drop(crew);
    assert!(published(&cluster) < 80, "the job had more to do");
    goes_on(&cluster, at, &["w1", "w2"]);
}
