//! Jobs with a table, or a join by event time, on several workers, which are killed: the output is that of one process, and
//! what `awk` counts.

use std::collections::BTreeMap;

use rustix::process::Signal;

use super::crew::{ANY, Cluster, Tap, all_end, assert_same_lines};
use super::restarts::kill;
use crate::job::Job;
use crate::published::Published;
use crate::tables::{ads, counted, events};
use crate::within::{found, rows};

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

/// Views by minute and ad, of ads that no campaign has.
fn unknown(events: &[String]) -> Vec<String> {
    let mut views = BTreeMap::new();
    for event in events.iter().filter(|event| event.contains("\"view\"")) {
        let after = |name: &str| event.split_once(name).map_or("", |(_, rest)| rest);
        let ad = after("\"ad_id\":\"").split('"').next().unwrap_or_default();
        let at: u64 =
            after("\"event_time\":").trim_end().trim_end_matches('}').parse().unwrap_or(0);
        if ad >= "ad-40" {
            *views.entry((at / 60_000, ad)).or_insert(0u64) += 1;
        }
    }
    let mut rows: Vec<String> =
        views.iter().map(|((_, ad), views)| format!("{ad},{views}")).collect();
    rows.sort_unstable();
    rows
}

#[test]
fn everything_is_killed_and_goes_on_with_the_table_that_was_read() {
    let cluster = Cluster::new("ad_campaigns");
    let (dir, out) = (cluster.path("in"), cluster.path("out"));
    std::fs::create_dir(&dir).expect("there is room");
    std::fs::write(dir.join("ads.csv"), ads(40)).expect("there is room");
    let events = events(60_000, 6000, 5);
    std::fs::write(dir.join("events.json"), events.concat()).expect("there is room");
    let job = |at| {
        let url = format!("{}?batch_records=300", dir.join("events.json").display());
        let job = cluster.master_at(at, 3).args(["--checkpoint", "50ms"]);
        let job = job.source("events", url).source("ads", dir.join("ads.csv").display());
        let job = job.sink("counts", "csv+stdout:?header=false");
        job.files("unknown.reduce_by_key_and_window", "csv", &out)
    };
    let mut master = job(ANY).unread().start();
    let mut tap = Tap::on(&mut master);
    let at = master.listening();
    let crew = cluster.crew(&["w1", "w2", "w3"], at);
    tap.read(5000);
    kill(master);
    crew.into_iter().for_each(kill);
    drop(tap);
    // With this version all ads would be unknown.
    std::fs::write(dir.join("ads.csv"), "ad_id,campaign_id\n").expect("there is room");
    let mut master = job(at).start();
    let crew = cluster.crew(&["w1", "w2", "w4"], at);
    master.wait("the news of the table", |job| {
        job.err.iter().any(|line| line.contains("is not what it was when the job read it"))
    });
    master.end().code(0);
    all_end(crew);
    let published = Published::read(&out);
    // Without the bounds of the windows.
    let mut rows: Vec<&str> =
        published.lines().into_iter().filter_map(|row| row.splitn(3, ',').nth(2)).collect();
    rows.sort_unstable();
    assert_eq!(rows, unknown(&events));
}

#[test]
fn both_sides_of_a_join_by_time_survive_the_workers_that_had_them() {
    let cluster = Cluster::new("audit");
    let dir = cluster.path("in");
    std::fs::create_dir(&dir).expect("there is room");
    std::fs::write(dir.join("starts.csv"), rows(12_000, 6).concat()).expect("there is room");
    std::fs::write(dir.join("ends.csv"), rows(12_000, 7).concat()).expect("there is room");
    let of_rows = |job: Job| {
        let url =
            |name: &str| format!("{}?header=false&batch_records=60", dir.join(name).display());
        job.args(["--job", "within"])
            .source("starts", url("starts.csv"))
            .source("ends", url("ends.csv"))
            .sink("rows", "csv+stdout:?header=false")
    };
    let expected = of_rows(Job::example("audit")).run().code(0).out;
    let mut sorted = expected.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, found(&dir, u64::MAX >> 1));
    let master = cluster.master(3).args(["--checkpoint", "50ms"]);
    let mut master = of_rows(master).unread().start();
    let mut tap = Tap::on(&mut master);
    let addr = master.listening();
    let worker = |name: &str| cluster.worker(name, addr).args(["--job", "within"]).start();
    let mut crew: Vec<_> = ["w1", "w2", "w3"].map(worker).into();
    tap.read(5000);
    crew[0].signal(Signal::KILL);
    master.event_with("recovering", |news| news["workers"] == 2);
    tap.read(5000);
    crew[2].signal(Signal::KILL);
    master.event_with("recovering", |news| news["workers"] == 1);
    tap.read_all();
    master.end().code(0);
    assert_same_lines(&tap.lines, &expected);
    crew.remove(1).end().code(0);
}
