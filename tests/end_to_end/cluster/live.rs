//! Live jobs on a cluster: received records are processed once, whichever worker receives them; a stop loses
//! none.

use std::fs;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

use super::crew::{Cluster, partitions};
use super::post::post;
use crate::job::{Ended, Job, Running};
use crate::pressure::{fill, unread};

/// `grep` of lines with an `x`, to standard output.
fn grep(job: Job, source: &str) -> Job {
    let job = job.source("lines", source).sink("matches", "stdout:").args(["--pattern", "x"]);
    job.args(["--interval", "20ms", "--summary", "json"])
}

fn some_lines(client: usize, lines: usize) -> Vec<String> {
    (0..lines).map(|n| format!("client {client} line {n} {}", "x".repeat(n % 50 + 1))).collect()
}

/// The address of the newest receiver.
fn receiving(job: &mut Running, times: usize) -> SocketAddr {
    let of_master =
        |job: &Running| job.events("receiving").filter(|e| e["stream"] == "lines").count();
    job.wait("a receiver", |job| of_master(job) >= times);
    let event = job.events("receiving").last().expect("it was just there");
    let url = event["url"].as_str().expect("it has one");
    let addr = url.split("//").nth(1).and_then(|rest| rest.split('/').next());
    addr.and_then(|addr| addr.parse().ok()).unwrap_or_else(|| panic!("{event}"))
}

fn send(address: SocketAddr, lines: &[String]) {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.write_all((lines.join("\n") + "\n").as_bytes()).expect("it receives");
}

/// Checks the output lines, in any order.
#[track_caller]
fn assert_once(done: &Ended, mut expected: Vec<String>) {
    let mut out = done.out[..done.out.len() - 1].to_vec();
    out.sort_unstable();
    expected.sort_unstable();
    assert_eq!(out.len(), expected.len(), "{}", done.said());
    assert!(out == expected, "processed is received");
    assert_eq!(done.summary()["records"], expected.len());
}

/// A master and two workers.
fn cluster(cluster: &Cluster, source: &str) -> (Running, [Running; 2]) {
    let mut master = grep(cluster.master(2), source).start();
    let addr = master.listening();
    let workers = ["w1", "w2"].map(|name| cluster.worker(name, addr).start());
    (master, workers)
}

#[test]
fn lines_of_many_tcp_clients_are_processed_once() {
    let dir = Cluster::new("grep");
    let (mut master, workers) = cluster(&dir, "tcp://127.0.0.1:0");
    let address = receiving(&mut master, 1);
    let clients: Vec<_> = (0..8)
        .map(|client| {
            std::thread::spawn(move || {
                let lines = some_lines(client, 500);
                send(address, &lines);
                lines
            })
        })
        .collect();
    let sent: Vec<_> =
        clients.into_iter().flat_map(|client| client.join().expect("it has sent")).collect();
    // Everything is sent, and may be anywhere between sockets and outputs.
    dir.ask(&["stop"]).code(0);
    assert_once(&master.end().code(0), sent);
    for worker in workers {
        worker.end().code(0);
    }
}

#[test]
fn a_receiver_moves_with_a_drain() {
    let dir = Cluster::new("grep");
    let (mut master, workers) = cluster(&dir, "tcp://127.0.0.1:0");
    let address = receiving(&mut master, 1);
    let first = some_lines(1, 700);
    send(address, &first);
    let at = master.events("receiving").last().expect("it receives")["worker"].clone();
    let name = at.as_str().expect("it has a name").to_owned();
    dir.ask(&["drain", &name]).code(0);
    master.event_with("drained", |event| event["worker"] == name);
    let moved = receiving(&mut master, 2);
    assert_ne!(moved, address);
    let second = some_lines(2, 700);
    send(moved, &second);
    dir.ask(&["stop"]).code(0);
    assert_once(&master.end().code(0), [first, second].concat());
    for worker in workers {
        worker.end().code(0);
    }
}

#[test]
fn a_worker_that_received_alone_can_be_drained_once_there_is_another() {
    let dir = Cluster::new("grep");
    let mut master = grep(dir.master(1), "tcp://127.0.0.1:0").unread().start();
    let addr = master.listening();
    let mut alone = dir.worker("w1", addr).start();
    // More than the pipe and the batches in flight hold, as single lines.
    let lines: Vec<_> = (0..4).flat_map(|client| some_lines(client, 4000)).collect();
    let mut stream = TcpStream::connect(receiving(&mut master, 1)).expect("it listens");
    for some in lines.chunks(200) {
        stream.write_all((some.join("\n") + "\n").as_bytes()).expect("it receives");
    }
    drop(stream);
    dir.status_with("waiting lines", |status| status["receivers"][0]["records"] == lines.len());
    let second = dir.worker("w2", addr).start();
    let both = |status: &Value| partitions(status, "w1") == Some(4);
    master.read_stdout();
    dir.status_with("two workers with partitions", both);
    dir.ask(&["drain", "w1"]).code(0);
    alone.event("drained");
    alone.end().code(0);
    dir.ask(&["stop"]).code(0);
    assert_once(&master.end().code(0), lines);
    second.end().code(0);
}

#[test]
fn acknowledged_records_are_processed_once() {
    let dir = Cluster::new("grep");
    let (mut master, workers) = cluster(&dir, "tcp://127.0.0.1:0");
    receiving(&mut master, 1);
    let lines = some_lines(3, 30_000);
    let file = dir.path("lines.txt");
    fs::write(&file, lines.join("\n")).expect("there is room");
    let path = file.to_str().expect("it is UTF-8");
    let done = dir.ask(&["send", "--stream", "lines", path]).code(0);
    assert!(done.out.concat().contains("30,000 records"), "{}", done.said());
    dir.ask(&["send", "--stream", "words", path]).code(2).says(&["(known: `lines`)"]);
    dir.ask(&["stop"]).code(0);
    assert_once(&master.end().code(0), lines);
    for worker in workers {
        worker.end().code(0);
    }
}

#[test]
fn answered_posts_are_processed_once() {
    let mut job = grep(Job::example("grep"), "http://127.0.0.1:0/lines");
    job = job.args(["--workers", "2", "--log", "json"]);
    let mut job = job.start();
    let address = receiving(&mut job, 1);
    let mut sent = Vec::new();
    for client in 0..20 {
        let lines = some_lines(client, 100);
        let status = post(address, "/lines", &(lines.join("\n") + "\n")).expect("it listens");
        assert!(status.starts_with("HTTP/1.1 2"), "{status}");
        sent.extend(lines);
    }
    let lost = post(address, "/elsewhere", "x\n").expect("it listens");
    assert!(lost.starts_with("HTTP/1.1 404"), "{lost}");
    job.signal(rustix::process::Signal::INT);
    assert_once(&job.end().code(0), sent);
}

#[test]
fn followed_files_are_read_by_workers() {
    let dir = tempfile::tempdir().expect("a directory");
    let first = dir.path().join("first.log");
    fs::write(&first, "x 1\nno\nx 2\n").expect("there is room");
    let source = format!("file://{}?follow", dir.path().display());
    let job = grep(Job::example("grep"), &source).args(["--workers", "2", "--log", "json"]);
    let mut job = job.start();
    job.wait("what was there", |job| job.out.len() == 2);
    let mut grown = fs::OpenOptions::new().append(true).open(&first).expect("it is ours");
    grown.write_all(b"x 3\nx 4, ").expect("there is room");
    job.wait("a line that was appended", |job| job.out.len() == 3);
    fs::write(dir.path().join("second.log"), "x 5\n").expect("there is room");
    job.wait("a new file", |job| job.out.len() == 4);
    grown.write_all(b"whole now\nx 6\n").expect("there is room");
    job.signal(rustix::process::Signal::TERM);
    let done = job.end().code(0);
    assert_eq!(done.out[..6], ["x 1", "x 2", "x 3", "x 5", "x 4, whole now", "x 6"]);
    assert_eq!(done.summary()["records"], 7);
}

/// More than is ever taken in while nothing is output.
const MOST: usize = 96 << 20;

#[test]
fn an_output_that_is_not_read_makes_the_clients_of_workers_wait() {
    let mut job = unread().args(["--workers", "2"]).start();
    let client = TcpStream::connect(receiving(&mut job, 1)).expect("it listens");
    fill(client, MOST, Duration::from_secs(1)).empties(job);
}
