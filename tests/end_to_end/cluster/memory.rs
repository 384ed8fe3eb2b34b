//! A worker's memory stays within its bound, however little is output and however much is sent: clients
//! wait. Nothing sent is dropped.

use std::fs;
use std::io::{ErrorKind, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::crew::{Cluster, Tap};
use crate::job::{Job, Running};

/// The bound of each worker.
const MEMORY: u64 = 48 << 20;

/// Memory beyond it: program, threads, results of running tasks, and memory kept by the allocator.
const BESIDE: u64 = 84 << 20;

/// More than all processes can hold.
const MUCH: usize = 512 << 20;

/// A client without progress for this long is considered waiting.
const PATIENCE: Duration = Duration::from_secs(3);

/// The anonymous memory of a process, in bytes.
fn anonymous(process: &Running) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", process.pid())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("it is there");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("it is a number") << 10
}

/// A client that sends distinct lines of about a kilobyte.
struct Client {
    stream: TcpStream,
    lines: usize,
    sent: usize,
    left: Vec<u8>,
    /// The highest memory of any worker meanwhile.
    most: u64,
}

impl Client {
    /// Sends that many bytes, or until nothing is taken for a while.
    fn send(&mut self, much: usize, workers: &[Running; 2]) {
        self.stream.set_write_timeout(Some(PATIENCE)).expect("it can be set");
        while self.sent < much {
            while self.left.len() < 1 << 20 {
                self.left.extend_from_slice(line(self.lines).as_bytes());
                self.lines += 1;
            }
            match self.stream.write(&self.left) {
                Ok(written) => {
                    self.sent += written;
                    self.left.drain(..written);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => panic!("{error}"),
            }
            self.most = workers.iter().map(anonymous).fold(self.most, u64::max);
        }
    }

    /// Sends the rest of the lines begun; returns their number.
    fn finish(mut self) -> usize {
        self.stream.set_write_timeout(None).expect("it can be set");
        self.stream.write_all(&self.left).expect("it receives");
        self.lines
    }
}

fn line(number: usize) -> String {
    format!("{number}{}\n", " xxxxxxxxxxxxxxxxxxx".repeat(50))
}

/// A master, two workers and a client.
fn cluster(dir: &Cluster, job: impl Fn(Job) -> Job) -> (Running, [Running; 2], Client) {
    let source = "tcp://127.0.0.1:0?max_line=1MiB";
    let mut master = job(dir.master(2)).source("lines", source).unread().start();
    let addr = master.listening();
    let memory = format!("{MEMORY}B");
    let start = |name| dir.worker(name, addr).args(["--memory", &memory]).start();
    let workers = ["w1", "w2"].map(start);
    let event = master.event("receiving");
    let addr = event["url"].as_str().and_then(|url| url.strip_prefix("tcp://")).expect("it is TCP");
    let stream = TcpStream::connect(addr).expect("it listens");
    (master, workers, Client { stream, lines: 0, sent: 0, left: Vec::new(), most: 0 })
}

#[track_caller]
fn assert_bounded(client: &Client) {
    let Client { most, sent, .. } = client;
    assert!(*most < MEMORY + BESIDE, "{} MiB for {} MiB", most >> 20, sent >> 20);
}

#[test]
fn an_output_that_is_not_read_fills_no_worker() {
    let dir = Cluster::new("grep");
    let job =
        |job: Job| job.sink("matches", "stdout:").args(["--pattern", "x", "--interval", "50ms"]);
    let (mut master, workers, mut client) = cluster(&dir, job);
    client.send(MUCH, &workers);
    assert!(client.sent < MUCH, "the client was never made to wait");
    // A receiver may hold a quarter of the memory, shared with clients of the library.
    assert!(client.sent > MEMORY as usize / 8, "it waited too early: {}", client.sent);
    assert_bounded(&client);
    // Reading the output: everything arrives, once.
    let mut tap = Tap::on(&mut master);
    let all = client.lines;
    let rest = std::thread::spawn(move || client.finish());
    let mut seen = vec![false; all];
    for _ in 0..all {
        tap.read(1);
        let line = tap.lines.pop().expect("it was just read");
        let number: usize = line.split(' ').next().and_then(|n| n.parse().ok()).expect("a number");
        assert!(!std::mem::replace(&mut seen[number], true), "{number} came twice");
    }
    assert_eq!(rest.join().expect("it has sent"), all);
    dir.ask(&["stop"]).code(0);
    tap.read_all();
    assert_eq!(tap.lines, [] as [&str; 0]);
    master.end().code(0);
    workers.into_iter().for_each(|worker| drop(worker.end().code(0)));
}

#[test]
fn clients_that_send_more_than_is_processed_fill_no_worker() {
    let dir = Cluster::new("word_count");
    // Some words are sent faster than they are counted.
    let job = |job: Job| {
        job.sink("counts", "none:").sink("windowed", "none:").args(["--summary", "json"])
    };
    let (mut master, workers, mut client) = cluster(&dir, job);
    client.send(2 * MEMORY as usize, &workers);
    assert_bounded(&client);
    let lines = client.finish();
    // Bytes in the client's own socket at a stop were not received.
    dir.status_with("all lines", |status| status["receivers"][0]["records"] == lines);
    dir.ask(&["stop"]).code(0);
    master.read_stdout();
    let done = master.end().code(0);
    assert_eq!(done.summary()["records"], lines);
    workers.into_iter().for_each(|worker| drop(worker.end().code(0)));
}
