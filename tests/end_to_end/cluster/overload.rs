//! The same as on one process, on a cluster: what is too much waits with the clients, and no process grows.

use serde_json::Value;

use super::crew::{Cluster, all_end};
use crate::job::{Job, Running, listens_at};
use crate::overload::{MEMORY, Senders, assert_counted, assert_settles, assert_stopped, working};

/// A master and two workers with so much memory.
fn cluster(dir: &Cluster, interval: &str, source: &str) -> (Running, Vec<Running>) {
    let job = working(dir.master(2), interval, source).args(["--checkpoint", "2s"]);
    let mut master = job.start();
    let addr = master.listening();
    let memory = format!("{MEMORY}B");
    let worker = |name| dir.worker(name, addr).args(["--memory", &memory, "--cores", "1"]).start();
    let workers = ["w1", "w2"].map(worker).into();
    master.event("receiving");
    (master, workers)
}

/// Clients that ask where the receiver is: one whose worker is slow moves.
fn looking(dir: &Cluster, rounds: u64) -> Senders {
    let state = dir.state();
    let find = move || {
        let asked = Job::example("work").args(["status", "--json", "--state"]).args([&state]);
        let status = asked.run().code(0).out.concat();
        listens_at(&serde_json::from_str::<Value>(&status).expect("it is JSON")["receivers"][0])
    };
    Senders::looking(find, rounds)
}

fn overloaded(interval: &str, interval_ms: f64) {
    let dir = Cluster::new("work");
    let source = "http://127.0.0.1:0/lines?max_body=1MiB&max_line=64KiB";
    let (mut master, workers) = cluster(&dir, interval, source);
    let senders = looking(&dir, 20_000);
    let others: Vec<&Running> = workers.iter().collect();
    assert_settles(&mut master, &others, interval_ms);
    let cheap = senders.stop();
    let senders = looking(&dir, 80_000);
    assert_settles(&mut master, &others, interval_ms);
    let bodies = cheap + senders.stop();
    master.catch_up();
    let before = master.events("batch").count();
    dir.ask(&["stop"]).code(0);
    let done = master.end().code(0);
    assert_stopped(&done, before, interval_ms);
    assert_eq!(done.summary()["records"], bodies * 100, "{}", done.said());
    assert_counted(&done.out, bodies);
    all_end(workers);
}

#[test]
fn batches_fit_long_intervals() {
    overloaded("250ms", 250.0);
}

#[test]
fn batches_fit_short_intervals() {
    overloaded("50ms", 50.0);
}

#[test]
fn the_client_library_waits() {
    let dir = Cluster::new("work");
    let (mut master, workers) = cluster(&dir, "250ms", "tcp://127.0.0.1:0?max_line=64KiB");
    let file = dir.path("lines.txt");
    // About as much as both workers do in the time that is looked at, and several times what they may hold.
    let bodies = 500;
    std::fs::write(&file, crate::overload::body(20_000).repeat(bodies)).expect("there is room");
    let path = file.to_str().expect("it is UTF-8").to_owned();
    let sending = std::thread::scope(|scope| {
        let sending = scope.spawn(|| dir.ask(&["send", "--stream", "lines", &path]).code(0));
        let others: Vec<&Running> = workers.iter().collect();
        assert_settles(&mut master, &others, 250.0);
        sending.join().expect("it has sent")
    });
    assert!(sending.out.concat().contains("50,000 records"), "{}", sending.said());
    dir.ask(&["stop"]).code(0);
    let done = master.end().code(0);
    assert_eq!(done.summary()["records"], bodies as u64 * 100, "{}", done.said());
    assert_counted(&done.out, bodies as u64);
    all_end(workers);
}
