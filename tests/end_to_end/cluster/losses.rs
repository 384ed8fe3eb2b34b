//! How a cluster ends: when it is told to, and when a process of it is killed. No process stays behind.

use std::fs;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open};

use super::crew::{Cluster, Tap, of_views};
use crate::job::{Job, Running, readable};

/// A job that ends only when it is told to.
fn endless(job: Job) -> Job {
    let job = job.source("lines", "generate://words?rate=2000").sink("matches", "stdout:");
    job.args(["--interval", "20ms", "--summary", "json"])
}

/// The processes that a process has started.
fn children(of: u32) -> Vec<OwnedFd> {
    let tasks = fs::read_dir(format!("/proc/{of}/task")).expect("it runs");
    let mut children = Vec::new();
    for task in tasks {
        let path = task.expect("it can be listed").path().join("children");
        let text = fs::read_to_string(path).expect("the kernel tells");
        for pid in text.split_whitespace() {
            let pid = pid.parse().ok().and_then(Pid::from_raw).expect("it is a process");
            children.push(pidfd_open(pid, PidfdFlags::empty()).expect("it runs"));
        }
    }
    children
}

/// A job with two workers of its own that has put something out, and its workers.
fn with_own_workers() -> (Running, Vec<OwnedFd>) {
    let mut job = endless(Job::example("grep")).args(["--log", "json", "--workers", "2"]).start();
    job.wait("output", |job| job.out.len() > 100);
    let workers = children(job.pid());
    assert_eq!(workers.len(), 2);
    (job, workers)
}

#[track_caller]
fn assert_over(processes: &[OwnedFd]) {
    for process in processes {
        assert!(readable(process, Duration::from_secs(20)), "a process is left");
    }
}

#[test]
fn a_signal_ends_a_job_and_its_own_workers() {
    for signal in [Signal::INT, Signal::TERM] {
        let (job, workers) = with_own_workers();
        job.signal(signal);
        let done = job.end().code(0);
        let summary = done.summary();
        assert_eq!(summary["outputs"][0]["records"], done.out.len() - 1, "{}", done.said());
        assert_over(&workers);
    }
}

#[test]
fn own_workers_do_not_outlive_a_job_that_is_killed() {
    let (job, workers) = with_own_workers();
    job.signal(Signal::KILL);
    assert_over(&workers);
}

#[test]
fn a_job_fails_with_one_of_its_own_workers() {
    let (job, workers) = with_own_workers();
    rustix::process::pidfd_send_signal(&workers[0], Signal::KILL).expect("it runs");
    let done = job.end().code(1);
    assert!(done.said().contains("worker `w"), "{}", done.said());
    assert_over(&workers);
}

/// A master, and two workers that have been placed.
fn by_hand(cluster: &Cluster) -> (Running, Running, Running) {
    let mut master = endless(cluster.master(2)).start();
    let addr = master.listening();
    let mut first = cluster.worker("w1", addr).start();
    let mut second = cluster.worker("w2", addr).start();
    first.placed(1);
    second.placed(1);
    master.wait("output", |job| job.out.len() > 100);
    (master, first, second)
}

#[test]
fn a_client_stops_a_job_gracefully_or_at_once() {
    for (words, what) in [
        (&["stop"][..], "processes what it has received"),
        (&["stop", "--now"], "the job ends now"),
    ] {
        let cluster = Cluster::new("grep");
        let (mut master, first, second) = by_hand(&cluster);
        cluster.ask(words).code(0).says(&[what]);
        master.event("stop_asked");
        let done = master.end().code(0);
        let published = done.summary()["outputs"][0]["records"].as_u64().expect("it counts");
        let lines = done.out.len() as u64 - 1;
        // At once means in the middle of a batch, too.
        assert!(published == lines || (words.len() > 1 && published < lines), "{}", done.said());
        for worker in [first, second] {
            let done = worker.end().code(0);
            assert!(done.said().contains("\"over\""), "{}", done.said());
        }
    }
}

#[test]
fn a_job_that_waits_for_workers_can_be_stopped() {
    let cluster = Cluster::new("grep");
    let mut master = endless(cluster.master(2)).start();
    let addr = master.listening();
    let worker = cluster.worker("w1", addr).start();
    master.event_with("waiting", |event| event["have"] == 1);
    cluster.ask(&["stop"]).code(0);
    assert_eq!(master.end().code(0).summary()["records"], 0);
    worker.end().code(0);
}

#[test]
fn a_job_that_cannot_finish_is_ended_at_once() {
    let cluster = Cluster::new("page_views");
    let mut master = of_views(cluster.master(1)).unread().start();
    let tap = Tap::on(&mut master);
    let addr = master.listening();
    let worker = cluster.worker("w1", addr).start();
    cluster.status_with("a batch in flight", |status| !status["batches"][0].is_null());
    // Its reader never reads: stopping waits for that, and says so; ending does not.
    cluster.ask(&["stop"]).code(0);
    let status = cluster.status();
    assert_eq!(status["phase"], "stopping", "{status}");
    cluster.ask(&["stop", "--now"]).code(0);
    worker.end().code(0);
    drop(tap);
    master.end();
}

#[test]
fn a_killed_worker_is_named_by_the_job_that_fails() {
    let cluster = Cluster::new("grep");
    let (master, first, second) = by_hand(&cluster);
    second.signal(Signal::KILL);
    let done = master.end().code(1);
    assert!(done.err.iter().any(|line| line.contains("\"error\"") && line.contains("`w2`")));
    done.says(&["worker `w2`", "start the job again"]);
    // The job is over for those that are left.
    first.end().code(0);
}

#[test]
fn workers_notice_that_their_master_was_killed() {
    let cluster = Cluster::new("grep");
    let (master, first, second) = by_hand(&cluster);
    master.signal(Signal::KILL);
    for worker in [first, second] {
        worker.end().code(1).says(&[
            "the master at 127.0.0.1:",
            "is gone",
            "start the master again",
        ]);
    }
    // Its file has stayed, and says where it was.
    cluster.ask(&["status"]).code(1).says(&["error: ", "127.0.0.1:"]);
}
