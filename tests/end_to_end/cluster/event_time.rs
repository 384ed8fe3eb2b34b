//! Event-time windows on several workers, which are killed while windows are open: the output is that of one process.

use rustix::process::Signal;

use super::crew::{Cluster, assert_same_lines};
use super::recovery::halted;
use crate::event_time::{counted, log};
use crate::job::Job;

#[test]
fn open_windows_survive_the_workers_that_had_them() {
    let cluster = Cluster::new("access_log");
    let logs = cluster.path("logs");
    std::fs::create_dir(&logs).expect("there is room");
    std::fs::write(logs.join("1.log"), log(60_000, 6000, 3).concat()).expect("there is room");
    let of_log = |job: Job| {
        let url = format!("file://{}/1.log?batch_records=500", logs.display());
        job.source("lines", url)
            .sink("per_minute", "csv+stdout:?header=false")
            .sink("top", "none:")
            .sink("alerts", "none:")
    };
    let expected = of_log(Job::example("access_log")).run().code(0).out;
    let mut sorted = expected.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, counted(&logs));
    let (mut master, mut tap, mut crew) = halted(&cluster, 3, of_log);
    crew[0].signal(Signal::KILL);
    master.event_with("recovering", |news| news["workers"] == 2);
    tap.read(3000);
    crew[2].signal(Signal::KILL);
    master.event_with("recovering", |news| news["workers"] == 1);
    tap.read_all();
    master.end().code(0);
    assert_same_lines(&tap.lines, &expected);
    crew.remove(1).end().code(0);
}
