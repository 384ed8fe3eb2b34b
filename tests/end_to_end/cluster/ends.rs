//! How jobs with pushed streams end when they are stopped: with everything that clients were told is safe in
//! their saved states, each of them twice, however long that takes.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use super::crew::{ANY, Cluster, all_end};
use crate::disk::Disk;
use crate::job::{Job, Running};
use crate::published::{Published, tree};

const URLS: usize = 20;

/// A view of each of some pages.
fn views(cluster: &Cluster) -> PathBuf {
    let path = cluster.path("views.json");
    let view = |n: usize| format!("{{\"url\":\"page{n}\",\"user\":{n}}}\n");
    fs::write(&path, (0..URLS).map(view).collect::<String>()).expect("there is room");
    path
}

/// `page_views` of what is pushed, which saves no state before it ends.
fn pushed(job: Job, cluster: &Cluster) -> Job {
    let job = job.source("views", "tcp://127.0.0.1:0").args(["--checkpoint", "60s"]);
    let job = job.args(["--partitions", "2", "--interval", "50ms", "--summary", "json"]);
    job.files("counts", "csv", &cluster.path("out"))
}

/// Has a job that has just begun take in a view of each page, and waits until they are visible.
fn view_once(cluster: &Cluster) {
    let path = views(cluster);
    cluster.ask(&["send", "--stream", "views", &path.to_string_lossy()]).code(0);
    let records = |status: &Value| status["sources"][0]["records"].as_u64();
    cluster.status_with("the views", |status| records(status) >= Some(URLS as u64));
}

/// The newest count of each page.
fn counts(cluster: &Cluster) -> BTreeMap<String, u64> {
    let published = Published::read(&cluster.path("out"));
    let mut counts = BTreeMap::new();
    for line in published.lines() {
        if let Some((url, count)) = line.rsplit_once(',')
            && let Ok(count) = count.parse()
        {
            counts.insert(url.to_owned(), count);
        }
    }
    counts
}

#[test]
fn a_damaged_state_of_a_stopped_job_loses_nothing() {
    let cluster = Cluster::new("page_views");
    let saves = cluster.state().join("saves");
    let mut older = 0;
    // Each time another object is damaged of what the job has ended with.
    for turn in 0..=4 {
        let mut master = pushed(cluster.master(2), &cluster).start();
        let at = master.listening();
        let crew = cluster.crew(&["w1", "w2"], at);
        view_once(&cluster);
        cluster.ask(&["stop"]).code(0);
        let done = master.end().code(0);
        older += usize::from(done.said().contains("an older one is used"));
        all_end(crew);
        let counts = counts(&cluster);
        assert_eq!(counts.len(), URLS, "{counts:?}");
        assert!(counts.values().all(|count| *count == turn + 1), "{turn}: {counts:?}");

        let objects: Vec<PathBuf> = tree(&saves).into_keys().collect();
        assert_eq!(objects.len(), 4, "two of each state: {objects:?}");
        if let Some(object) = objects.get(turn as usize) {
            let path = saves.join(object);
            let mut bytes = fs::read(&path).expect("it is there");
            let middle = bytes.len() / 2;
            bytes[middle] ^= 4;
            fs::write(path, bytes).expect("it can be written");
        }
    }
    assert!(older >= 2, "of each two one counts: {older}");
}

/// A job on a disk that is full when it is stopped.
fn stopped_on_a_full_disk() -> Option<(Cluster, Disk, Running, Running)> {
    let cluster = Cluster::new("page_views");
    let disk = match Disk::mount(&cluster.state().join("saves")) {
        Ok(disk) => disk,
        Err(why) => {
            eprintln!("skipped: {why}");
            return None;
        }
    };
    let master = cluster.as_master(disk.example("page_views"), ANY, 1);
    let mut master = pushed(master, &cluster).start();
    let worker = cluster.as_stranger(disk.example("page_views"), "of-w1", "w1", master.listening());
    let worker = worker.args(["--token-file".as_ref(), cluster.token().as_os_str()]).start();
    view_once(&cluster);
    disk.fill(0);
    cluster.ask(&["stop"]).code(0);
    let said = |event: &Value| event.to_string().contains("cannot save that of");
    let warning = master.event_with("warning", said).to_string();
    for part in [
        "the end of the job waits for 2 states to be saved",
        "No space left on device",
        "nothing is lost as long as they run",
        "see to it that the workers can write to",
        "`stop --now`",
    ] {
        assert!(warning.contains(part), "{part}: {warning}");
    }
    let status = cluster.status_with("what it waits for", |status| !status["unsaved"].is_null());
    assert_eq!(
        (&status["phase"], &status["unsaved"]["worker"]),
        (&"stopping".into(), &"w1".into())
    );
    let cause = status["cause"].as_str().expect("there is a cause");
    assert!(cause.contains("states to be saved"), "{status}");
    let text = cluster.ask(&["status"]).code(0);
    text.says(&["could not save the state of", "No space left on device"]);
    Some((cluster, disk, master, worker))
}

#[test]
fn a_job_that_is_stopped_waits_for_a_place_for_its_states() {
    let Some((cluster, disk, master, worker)) = stopped_on_a_full_disk() else { return };
    disk.make_room();
    master.end().code(0);
    worker.end().code(0);
    // Another one goes on with it.
    let master = cluster.as_master(disk.example("page_views"), ANY, 1);
    let mut master = pushed(master, &cluster).start();
    let worker = cluster.as_stranger(disk.example("page_views"), "of-w2", "w2", master.listening());
    let worker = worker.args(["--token-file".as_ref(), cluster.token().as_os_str()]).start();
    view_once(&cluster);
    cluster.ask(&["stop"]).code(0);
    master.end().code(0);
    worker.end().code(0);
    let counts = counts(&cluster);
    assert!(counts.len() == URLS && counts.values().all(|count| *count == 2), "{counts:?}");
}

#[test]
fn a_job_that_waits_for_a_place_for_its_states_can_be_ended_at_once() {
    let Some((cluster, _disk, master, worker)) = stopped_on_a_full_disk() else { return };
    cluster.ask(&["stop", "--now"]).code(0);
    master.end().code(1).says(&[
        "the job was ended before its states were saved",
        "No space left on device",
        "another --state",
    ]);
    worker.end().code(0);
}
