//! How a cluster ends: when stopped, and when a process is killed. No process is left behind.

use std::fs;
use std::os::fd::OwnedFd;
use std::process::Command;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open};

use super::crew::{Cluster, Tap, of_views};
use crate::job::{Job, Running, binary, readable};

/// A job that ends only when stopped.
fn endless(job: Job) -> Job {
    let job = job.source("lines", "generate://words?rate=2000").sink("matches", "stdout:");
    job.args(["--interval", "20ms", "--summary", "json"])
}

/// The children of a process.
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

/// A job with output and two workers of its own, and the workers.
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
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let (job, workers) = with_own_workers();
        job.signal(signal);
        let done = job.end().code(0);
        let summary = done.summary();
        assert_eq!(summary["outputs"][0]["records"], done.out.len() - 1, "{}", done.said());
        assert_over(&workers);
    }
}

#[test]
fn a_hangup_that_was_ignored_at_the_start_stays_ignored() {
    let mut sh = Command::new("sh");
    sh.args(["-c", "trap '' HUP; exec \"$0\" \"$@\""]).arg(binary("grep"));
    let mut job = endless(Job::of(sh)).args(["--log", "json"]).start();
    job.wait("output", |job| job.out.len() > 100);
    job.signal(Signal::HUP);
    let seen = job.out.len();
    job.wait("more output", |job| job.out.len() > seen + 100);
    assert!(job.events("stop").next().is_none());
    job.signal(Signal::TERM);
    job.end().code(0);
}

#[test]
fn a_stop_that_takes_too_long_ends_the_process() {
    for workers in ["0", "2"] {
        // Its output is never read, and a batch exceeds a pipe.
        let job = Job::example("grep").source("lines", "generate://words?rate=1000000");
        let job = job.sink("matches", "stdout:").args(["--interval", "50ms"]).unread();
        let job = job.args(["--log", "json", "--workers", workers, "--stop-timeout", "500ms"]);
        let mut job = job.start();
        let out = job.take_stdout();
        job.has_written(&out);
        let workers = children(job.pid());
        job.signal(Signal::TERM);
        job.event("stop_overdue");
        job.end().code(1);
        assert_over(&workers);
    }
}

#[test]
fn own_workers_that_are_killed_are_started_again() {
    let job = |state: &str| {
        let job = Job::example("grep").source("lines", "generate://words?rate=20000&records=30000");
        let job = job.sink("matches", "stdout:").args(["--interval", "20ms", "--log", "json"]);
        job.args(["--summary", "json", "--workers", "2", "--checkpoint", "50ms", "--state", state])
    };
    let dir = tempfile::tempdir().expect("a directory");
    let state = |name: &str| dir.path().join(name).to_str().expect("it is text").to_owned();
    let mut expected = job(&state("undisturbed")).run().code(0).out;
    let mut disturbed = job(&state("disturbed")).start();
    disturbed.wait("output", |job| job.out.len() > 100);
    for worker in children(disturbed.pid()) {
        rustix::process::pidfd_send_signal(&worker, Signal::KILL).expect("it runs");
    }
    disturbed.wait("both starting again", |job| {
        job.events("ended").filter(|event| event["restart_in_ms"] == 500).count() == 2
    });
    let mut published = disturbed.end().code(0).out;
    // The last line is the summary.
    expected.pop();
    published.pop();
    expected.sort_unstable();
    published.sort_unstable();
    assert!(published == expected, "{} and {} lines", published.len(), expected.len());
}

#[test]
fn a_master_without_workers_says_so_and_ends_on_the_first_signal() {
    let cluster = Cluster::new("grep");
    let master = || endless(cluster.master(1)).args(["--checkpoint", "50ms"]).start();
    let mut lonely = master();
    let addr = lonely.listening();
    let mut crew = cluster.crew(&["w1", "w2"], addr);
    crew.iter_mut().for_each(|worker| drop(worker.placed(1)));
    lonely.wait("output", |job| job.out.len() > 100);
    crew.iter().for_each(|worker| worker.signal(Signal::KILL));
    lonely.wait("a word about it", |job| {
        let mut warnings = job.events("warning").filter_map(|event| event["message"].as_str());
        warnings.any(|message| message.contains("no worker has been connected for 10 s"))
    });
    lonely.signal(Signal::TERM);
    lonely
        .end()
        .code(1)
        .says(&["stopped without workers", "start the job again with the same --state"]);
    // And a restarted master, which no worker has joined.
    let mut again = master();
    again.listening();
    again.signal(Signal::TERM);
    again.end();
    // Both ended on the first signal without loss: the job goes on with a worker.
    let mut third = master();
    let addr = third.listening();
    let _worker = cluster.worker("w3", addr).start();
    third.wait("output", |job| job.out.len() > 100);
    third.signal(Signal::TERM);
    third.end().code(0);
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

/// A master and two placed workers.
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
        // `--now` interrupts a batch.
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
    // Its output is never read: a stop waits for it and says so; `--now` does not.
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
    // The job is over for the other workers.
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
    // The address file is left, and names the address.
    cluster
        .ask(&["status"])
        .code(1)
        .says(&["no process listens at 127.0.0.1:", "help: the job has been killed"]);
}
