//! A standby beside a master that is stopped, leaves, or is killed while stopping: the job ends or goes on,
//! as asked.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::crew::{ANY, Cluster, Tap, all_end, free_port};
use super::restarts::{Halted, assert_as_without_faults, goes_on, halted, kill, master, standby};
use crate::job::{Job, Running};
use crate::published::{Published, tree};

/// From the loss of a master to the next batch. The aim is 3 s, on a machine that has time.
const LONGEST: Duration = Duration::from_secs(6);

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

/// A master of a job that is never over.
fn live(cluster: &Cluster, at: SocketAddr) -> Job {
    let job = cluster.master_at(at, 2).args(["--checkpoint", "1s", "--interval", "250ms"]);
    let job = job.source("views", "generate://page_views?rate=2000");
    job.files("counts", "csv", &cluster.path("out"))
}

/// A job with a standby loses its master by a signal. Workers know where both are. What is left of the first one, and what
/// goes on.
fn taken_over(cluster: &Cluster, signal: Signal) -> (Running, Running, Vec<Running>) {
    let mut first = live(cluster, ANY).start();
    let (at, other) = (first.listening(), free_port());
    let both = |name| cluster.worker(name, at).args(["--master", &other.to_string()]).start();
    let crew = ["w1", "w2"].map(both).into();
    let mut second = live(cluster, other).args(["--standby"]).start();
    second.event("follows");
    first.wait("batches", |job| job.events("batch").count() >= 4);
    let begun = Instant::now();
    first.signal(signal);
    let mut after = Vec::new();
    for event in ["lost", "takes_over", "listening", "recovering", "batch"] {
        second.event(event);
        after.push(format!("{event} after {} ms", begun.elapsed().as_millis()));
    }
    let took = begun.elapsed();
    eprintln!("{signal:?}: {}", after.join(", "));
    assert!(took < LONGEST, "{took:?}");
    (first, second, crew)
}

/// Stops a job that was taken over, and checks that what it has published is whole.
fn stops(cluster: &Cluster, second: Running, crew: Vec<Running>) {
    cluster.ask(&["stop"]).code(0);
    second.end().code(0);
    all_end(crew);
    let times: Vec<u64> = Published::read(&cluster.path("out")).0.into_keys().collect();
    assert!(times.is_sorted_by(|a, b| b - a >= 250), "{times:?}");
}

#[test]
fn a_standby_publishes_soon_after_the_master_was_killed() {
    let cluster = Cluster::new("page_views");
    let (first, second, crew) = taken_over(&cluster, Signal::KILL);
    first.end();
    stops(&cluster, second, crew);
}

#[test]
fn a_standby_publishes_soon_after_the_master_was_frozen() {
    let cluster = Cluster::new("page_views");
    let (first, second, crew) = taken_over(&cluster, Signal::STOP);
    first.signal(Signal::CONT);
    first.end().code(1).says(&["another master has taken over"]);
    stops(&cluster, second, crew);
}
