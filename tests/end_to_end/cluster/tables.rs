//! A job with a table on several workers, which are killed: the output is that of one process, and what `awk` counts.

use rustix::process::Signal;

use super::crew::{Cluster, Tap, assert_same_lines};
use crate::job::Job;
use crate::tables::{ads, counted, events};

#[test]
fn the_table_survives_the_workers_that_had_it() {
    let cluster = Cluster::new("ad_campaigns");
    let dir = cluster.path("in");
    std::fs::create_dir(&dir).expect("there is room");
    std::fs::write(dir.join("ads.csv"), ads(40)).expect("there is room");
    std::fs::write(dir.join("events.json"), events(60_000, 6000, 3).concat())
        .expect("there is room");
    let of_ads = |job: Job| {
        let url = format!("{}?batch_records=300", dir.join("events.json").display());
        job.source("events", url)
            .source("ads", dir.join("ads.csv").display())
            .sink("counts", "csv+stdout:?header=false")
    };
    let expected = of_ads(Job::example("ad_campaigns")).run().code(0).out;
    let mut sorted = expected.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, counted(&dir, "ads.csv", "events.json"));

    let master = cluster.master(3).args(["--checkpoint", "50ms"]);
    let mut master = of_ads(master).unread().start();
    let mut tap = Tap::on(&mut master);
    let addr = master.listening();
    let mut crew = cluster.crew(&["w1", "w2", "w3"], addr);
    tap.read(2000);
    // Nothing of it can be read again where it was.
    std::fs::write(dir.join("ads.csv"), "ad_id,campaign_id\n").expect("there is room");
    crew[0].signal(Signal::KILL);
    master.event_with("recovering", |news| news["workers"] == 2);
    tap.read(2000);
    crew[2].signal(Signal::KILL);
    master.event_with("recovering", |news| news["workers"] == 1);
    tap.read_all();
    master.end().code(0);
    assert_same_lines(&tap.lines, &expected);
    crew.remove(1).end().code(0);
}
