//! A stopped job with pushed streams ends once its saved states contain everything acknowledged, twice,
//! however long that takes.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::crew::{ANY, Cluster, all_end};
use crate::disk::Disk;
use crate::job::{Ended, Job, Running};
use crate::published::{Published, tree};

const URLS: usize = 20;

/// One view of each page.
fn views(cluster: &Cluster) -> PathBuf {
    let path = cluster.path("views.json");
    let view = |n: usize| format!("{{\"url\":\"page{n}\",\"user\":{n}}}\n");
    fs::write(&path, (0..URLS).map(view).collect::<String>()).expect("there is room");
    path
}

/// `page_views` of pushed records. Batches are so long that a job stopped soon after a push has saved
/// nothing before.
fn pushed(job: Job, cluster: &Cluster) -> Job {
    let job = job.source("views", "tcp://127.0.0.1:0").args(["--checkpoint", "60s"]);
    let job = job.args(["--partitions", "2", "--interval", "2s", "--summary", "json"]);
    job.files("counts", "csv", &cluster.path("out"))
}

/// Sends one view of each page.
fn send_once(cluster: &Cluster) {
    let path = views(cluster);
    cluster.ask(&["send", "--stream", "views", &path.to_string_lossy()]).code(0);
}

/// Sends one view of each page, and stops the job.
fn view_once(cluster: &Cluster) {
    send_once(cluster);
    cluster.ask(&["stop"]).code(0);
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

/// The objects of a partition's state, oldest first. Their names are
/// `sSTAGE-pPARTITION-bBATCH-wWORKER-NUMBER`.
fn objects(cluster: &Cluster, partition: usize) -> Vec<PathBuf> {
    let saves = cluster.state().join("saves");
    let mut objects: Vec<_> = tree(&saves).into_keys().collect();
    objects.retain(|name| name.to_string_lossy().contains(&format!("-p{partition}-")));
    let order = |name: &PathBuf| {
        let name = name.to_string_lossy().into_owned();
        let number = |part: &str| part.trim_start_matches('b').parse::<u64>().expect("a number");
        let parts: Vec<&str> = name.split('-').collect();
        (number(parts[2]), number(parts[4]))
    };
    objects.sort_by_key(order);
    objects.into_iter().map(|name| saves.join(name)).collect()
}

/// Copies a directory.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("there is room");
    for entry in fs::read_dir(from).expect("it is there") {
        let path = entry.expect("it can be listed").path();
        let at = to.join(path.file_name().expect("it has a name"));
        match path.is_dir() {
            true => copy(&path, &at),
            false => drop(fs::copy(&path, &at).expect("there is room")),
        }
    }
}

/// The job resumes: a second view of each page counts as the second.
#[track_caller]
fn goes_on(
    cluster: &Cluster,
    mut master: Running,
    start: impl Fn(&str, SocketAddr) -> Running,
) -> Ended {
    let worker = start("w9", master.listening());
    send_once(cluster);
    let records = |status: &Value| status["sources"][0]["records"].as_u64();
    cluster.status_with("the views", |status| records(status) == Some(URLS as u64));
    // A graceful stop would wait for the previous workers.
    cluster.ask(&["stop", "--now"]).code(0);
    let done = master.end().code(0);
    worker.end().code(0);
    let counts = counts(cluster);
    assert!(counts.len() == URLS && counts.values().all(|count| *count == 2), "{counts:?}");
    done
}

#[test]
fn a_damaged_state_of_a_stopped_job_loses_nothing() {
    let cluster = Cluster::new("page_views");
    let mut master = pushed(cluster.master(2), &cluster).start();
    let crew = cluster.crew(&["w1", "w2"], master.listening());
    view_once(&cluster);
    master.end().code(0);
    all_end(crew);
    // Damages another final object each time: the last and the last but one of each state.
    let mut older = 0;
    for (partition, is_last) in [(0, true), (1, true), (0, false), (1, false)] {
        let another = Cluster::new("page_views");
        copy(&cluster.state(), &another.state());
        let objects = objects(&another, partition);
        let [.., before, last] = &objects[..] else { panic!("it is saved twice: {objects:?}") };
        let path = if is_last { last } else { before };
        let mut bytes = fs::read(path).expect("it is there");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 4;
        fs::write(path, bytes).expect("it can be written");
        let master = pushed(another.master(1), &another).start();
        let done = goes_on(&another, master, |name, at| another.worker(name, at).start());
        older += usize::from(done.said().contains("an older one is used"));
    }
    assert_eq!(older, 2, "the last one of each state counts");
}

/// A worker that sees the disk.
fn worker_on(disk: &Disk, cluster: &Cluster, name: &str, at: SocketAddr) -> Running {
    let job = cluster.as_stranger(disk.example("page_views"), &format!("of-{name}"), name, at);
    job.args(["--token-file".as_ref(), cluster.token().as_os_str()]).start()
}

/// A job whose disk is full when it is stopped.
fn stopped_on_a_full_disk() -> Option<(Cluster, Disk, Running, Running)> {
    let cluster = Cluster::new("page_views");
    let disk = match Disk::mount(&cluster.state().join("saves")) {
        Ok(disk) => disk,
        Err(why) => {
            dstream_tests::not_run("mount", &why);
            return None;
        }
    };
    let master = cluster.as_master(disk.example("page_views"), ANY, 1);
    let mut master = pushed(master, &cluster).start();
    let worker = worker_on(&disk, &cluster, "w1", master.listening());
    disk.fill(0);
    view_once(&cluster);
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
    assert!(text.said().contains("w1 could not save the state of `counts`"), "{}", text.said());
    Some((cluster, disk, master, worker))
}

#[test]
fn a_job_that_is_stopped_waits_for_a_place_for_its_states() {
    let Some((cluster, disk, master, worker)) = stopped_on_a_full_disk() else { return };
    disk.make_room();
    master.end().code(0);
    worker.end().code(0);
    let master = pushed(cluster.as_master(disk.example("page_views"), ANY, 1), &cluster).start();
    goes_on(&cluster, master, |name, at| worker_on(&disk, &cluster, name, at));
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
