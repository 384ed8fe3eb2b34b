//! A stream with several receivers: each on its own worker, announced, and open to any client; a lost one
//! moves.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::TcpStream;

use rustix::process::Signal;
use serde_json::Value;

use super::crew::Cluster;
use crate::job::Running;

/// The receivers of a stream by worker, once that many were announced.
fn receiving(master: &mut Running, times: usize) -> BTreeMap<String, String> {
    master.wait("receivers", |job| job.events("receiving").count() >= times);
    let text = |event: &Value, name: &str| event[name].as_str().expect("it is text").to_owned();
    let at = |event: &Value| (text(event, "worker"), text(event, "url"));
    master.events("receiving").map(at).collect()
}

fn send(url: &str, lines: &[String]) {
    let addr = url.strip_prefix("tcp://").expect("it is TCP");
    let mut stream = TcpStream::connect(addr).expect("it listens");
    stream.write_all((lines.join("\n") + "\n").as_bytes()).expect("it receives");
}

fn words(name: &str) -> Vec<String> {
    (0..500).map(|n| format!("{name}{n}")).collect()
}

#[test]
fn a_stream_has_as_many_receivers_as_it_wants_and_a_lost_one_moves() {
    let dir = Cluster::new("word_count");
    let job = dir.master(3).source("lines", "tcp://127.0.0.1:0?receivers=2");
    let job = job.sink("counts", "csv+stdout:?header=false").sink("windowed", "none:");
    let mut master = job.args(["--summary", "json", "--checkpoint", "3s"]).start();
    let addr = master.listening();
    let mut crew: BTreeMap<_, _> =
        ["w1", "w2", "w3"].map(|name| (name.to_owned(), dir.worker(name, addr).start())).into();
    let at = receiving(&mut master, 2);
    assert_eq!(at.len(), 2, "on two workers: {at:?}");
    for (name, url) in &at {
        send(url, &words(name));
    }
    // Each has its own, as the status says.
    let status = dir.status_with("all words", |status| {
        let all = status["receivers"].as_array().expect("it is a list");
        all.len() == 2 && all.iter().all(|receiver| receiver["records"] == 500)
    });
    for receiver in status["receivers"].as_array().expect("it is a list") {
        let worker = receiver["worker"].as_str().expect("it has a name");
        assert_eq!(receiver["url"], at[worker], "{status}");
    }
    master.wait("counts", |job| job.out.len() >= 1000);
    // The worker without a receiver takes over from one with.
    let lost = at.keys().next().expect("there are two").clone();
    crew.remove(&lost).expect("it is one of them").signal(Signal::KILL);
    let now = receiving(&mut master, 3);
    let other = now.keys().find(|name| !at.contains_key(*name)).expect("it has moved").clone();
    let stays = at.keys().find(|name| **name != lost).expect("there are two");
    let mut sent: Vec<String> = at.keys().flat_map(|name| words(name)).collect();
    for (name, url) in [("moved", &now[&other]), ("again", &now[stays])] {
        send(url, &words(name));
        sent.extend(words(name));
    }
    dir.ask(&["stop"]).code(0);
    let done = master.end().code(0);
    let is_count = |line: &&String| {
        line.rsplit_once(',').is_some_and(|(_, count)| count.parse::<u64>().is_ok())
    };
    let mut counted: Vec<_> = done.out.iter().filter(is_count).cloned().collect();
    let mut expected: Vec<_> = sent.iter().map(|word| format!("{word},1")).collect();
    counted.sort_unstable();
    expected.sort_unstable();
    assert_eq!(counted, expected, "{}", done.said());
    for worker in crew.into_values() {
        worker.end().code(0);
    }
}
