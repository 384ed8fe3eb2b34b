//! Live jobs: everything received is processed once, and a stop is graceful.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use rustix::process::Signal;

use crate::job::{Job, Running};

/// `grep` of lines with a pattern, to standard output.
fn grep_for(pattern: &str, source: &str) -> Job {
    let job = Job::example("grep").source("lines", source).sink("matches", "stdout:");
    let job = job.args(["--pattern", pattern, "--interval", "20ms"]);
    job.args(["--log", "json", "--summary", "json"])
}

fn grep(source: &str) -> Job {
    grep_for("x", source)
}

/// The lines of a client.
fn client_lines(client: usize, lines: usize) -> Vec<String> {
    (0..lines).map(|n| format!("client {client} line {n} {}", "x".repeat(n % 50 + 1))).collect()
}

fn send(address: SocketAddr, lines: &[String]) {
    let mut stream = TcpStream::connect(address).expect("it listens");
    for some in lines.chunks(100) {
        stream.write_all((some.join("\n") + "\n").as_bytes()).expect("it receives");
    }
}

/// Stops a job and checks its output lines, in any order, and its summary.
fn stop_and_check(job: Running, signal: Signal, mut expected: Vec<String>) {
    job.signal(signal);
    let done = job.end().code(0);
    let summary = done.summary();
    assert_eq!(summary["records"], expected.len(), "received: {}", done.said());
    assert_eq!(summary["outputs"][0]["records"], expected.len());
    let mut out = done.out[..done.out.len() - 1].to_vec();
    out.sort_unstable();
    expected.sort_unstable();
    assert!(out == expected, "processed is received");
}

#[test]
fn lines_of_many_clients_are_processed_once() {
    for signal in [Signal::INT, Signal::TERM] {
        let mut job = grep("tcp://127.0.0.1:0").start();
        let address = job.address();
        // Few enough that the receiver's socket takes them at once: bytes in a client's own system at a stop
        // were not received.
        let clients: Vec<_> = (0..12)
            .map(|client| {
                std::thread::spawn(move || {
                    let lines = client_lines(client, 500);
                    send(address, &lines);
                    lines
                })
            })
            .collect();
        let sent: Vec<_> =
            clients.into_iter().flat_map(|client| client.join().expect("it has sent")).collect();
        // Everything is sent, and may be anywhere between sockets and outputs.
        stop_and_check(job, signal, sent);
    }
}

#[test]
fn a_client_may_come_late_and_go_without_a_line_end() {
    let mut job = grep("tcp://127.0.0.1:0").start();
    let address = job.address();
    send(address, &client_lines(1, 10));
    job.wait("the first client's lines", |job| job.out.len() == 10);
    let mut second = TcpStream::connect(address).expect("it listens");
    second.write_all(b"half of x").expect("it receives");
    send(address, &client_lines(2, 10));
    job.wait("the third client's lines", |job| job.out.len() == 20);
    second.write_all(b" a line").expect("it receives");
    drop(second);
    job.wait("the line without its end", |job| job.out.len() == 21);
    let expected = [client_lines(1, 10), client_lines(2, 10), vec!["half of x a line".to_owned()]];
    stop_and_check(job, Signal::TERM, expected.concat());
}

#[test]
fn a_second_signal_ends_the_job_at_once() {
    // A job that cannot finish: its output, two megabytes per batch, is unread.
    let mut job = grep_for("e", "generate://words?rate=1000000").unread().start();
    let unread = job.take_stdout();
    job.has_written(&unread);
    job.signal(Signal::INT);
    job.event("stop");
    while !job.ends_within(Duration::from_millis(50)) {
        job.signal(Signal::INT);
    }
    job.end().code(130);
    drop(unread);
}

#[test]
fn signals_sent_together_are_one() {
    let mut job = grep("generate://words?rate=1000").start();
    job.event("batch");
    // As `timeout` does: to the process, and again to its group.
    job.signal(Signal::INT);
    job.signal(Signal::TERM);
    let done = job.end().code(0);
    assert!(done.summary()["records"].as_u64() > Some(0), "{}", done.said());
}

#[test]
fn followed_files_grow_and_new_ones_appear() {
    let dir = tempfile::tempdir().expect("a directory");
    let (first, second) = (dir.path().join("first.log"), dir.path().join("second.log"));
    fs::write(&first, "x 1\nno\nx 2\n").expect("there is room");
    let mut job = grep(&format!("file://{}?follow", dir.path().display())).start();
    job.wait("what was there", |job| job.out.len() == 2);
    let append = |mut file: &File, text: &str| {
        file.write_all(text.as_bytes()).expect("there is room");
    };
    let grown = OpenOptions::new().append(true).open(&first).expect("it is ours");
    append(&grown, "x 3\nx 4, ");
    job.wait("a line that was appended", |job| job.out.len() == 3);
    fs::write(&second, "x 5\n").expect("there is room");
    job.wait("a new file", |job| job.out.len() == 4);
    append(&grown, "whole now\n");
    job.wait("a line in two pieces", |job| job.out.len() == 5);
    assert_eq!(job.out, ["x 1", "x 2", "x 3", "x 5", "x 4, whole now"]);
    // The job reads once more before it ends.
    append(&grown, "x 6\n");
    job.signal(Signal::TERM);
    let done = job.end().code(0);
    assert_eq!(done.out[5], "x 6", "{}", done.said());
    assert_eq!(done.summary()["records"], 7);
}

#[test]
fn examples_start_without_arguments_and_stop_on_a_signal() {
    for name in ["grep", "page_views", "top_k_count", "word_count"] {
        let mut job = Job::example(name).args(["--log", "json", "--summary", "json"]).start();
        let start = job.event("start");
        assert_eq!((start["job"].as_str(), start["live"].as_bool()), (Some(name), Some(true)));
        let batch = job.event("batch");
        assert_eq!(batch["records"], 100_000, "{batch}");
        job.signal(Signal::INT);
        let done = job.end().code(0);
        let summary = done.summary();
        let batches = summary["batches"].as_u64().expect("it counts");
        // The last batch of a stop may be empty.
        let full = summary["records"].as_u64().map(|records| records / 100_000);
        assert!(full == Some(batches) || full == Some(batches - 1), "{summary}");
        assert!(summary["latency"]["p50_ms"].is_f64(), "{summary}");
        let printed = done.out.iter().any(|line| line.starts_with("top at "));
        assert_eq!(printed, name == "top_k_count", "{}", done.said());
    }
}
