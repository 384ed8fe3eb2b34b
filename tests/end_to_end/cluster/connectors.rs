//! A source of a program's own on a cluster: workers read its ranges, what one has read that is killed is read again
//! by others, and a job that starts again goes on where it was.

use std::fs;

use rustix::process::Signal;

use super::crew::{Cluster, assert_same_lines};
use super::recovery::halted;
use crate::connectors::{last_values, readings};
use crate::job::{Job, Running};

#[test]
fn what_a_killed_worker_has_read_is_read_again() {
    let cluster = Cluster::new("sensors");
    let data = cluster.path("data");
    fs::create_dir(&data).expect("a directory");
    let highest = readings(&data, 8, 30_000);
    let of_readings = |job: Job| {
        let url = format!("readings://{}?batch_records=2000", data.display());
        let job = job.source("readings", url).sink("hottest", "none:");
        job.sink("highest", "csv+stdout:?header=false")
    };
    let expected = of_readings(Job::example("sensors")).run().code(0).out;
    assert_eq!(last_values(&expected), highest);
    let (mut master, mut tap, mut crew) = halted(&cluster, 2, of_readings);
    crew[0].signal(Signal::KILL);
    master.event("recovering");
    tap.read_all();
    master.end().code(0);
    assert_same_lines(&tap.lines, &expected);
    crew.remove(1).end().code(0);
}

#[test]
fn a_live_job_that_starts_again_goes_on_where_it_was() {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("data");
    fs::create_dir(&data).expect("a directory");
    let mut highest = readings(&data, 2, 1000);
    let start = || {
        let job = Job::example("sensors").current_dir(dir.path()).args(["--workers", "2"]);
        let job = job.args(["--checkpoint", "50ms", "--state", "state", "--interval", "50ms"]);
        let url = format!("readings://{}?live&batch_records=500", data.display());
        let job = job.source("readings", url).sink("hottest", "none:");
        job.sink("highest", "csv+stdout:?header=false").start()
    };
    let stop = |job: Running| {
        job.signal(Signal::TERM);
        job.end().code(0).out
    };
    let mut first = start();
    first.wait("all readings", |job| last_values(&job.out) == highest);
    let mut rows = stop(first);
    // While it is down the files grow, and one comes.
    for (sensor, celsius) in readings(&data, 3, 1500) {
        let known = highest.entry(sensor).or_insert(celsius);
        *known = celsius.max(*known);
    }
    let before = rows.len();
    let mut second = start();
    let all = |new: &[String]| last_values(&[&rows, new].concat()) == highest;
    second.wait("the other readings", |job| all(&job.out));
    rows.extend(stop(second));
    // What was read is not read again: each of the 2500 new readings changes one sensor at most.
    assert!(rows.len() - before <= 2500, "{} rows", rows.len() - before);
}
