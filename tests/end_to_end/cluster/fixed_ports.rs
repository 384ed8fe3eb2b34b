//! A stream with a fixed port and several workers on a host: only one can listen, and a stopped process
//! still has the port. The others try, and the job goes on regardless.

use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use super::crew::{ANY, Cluster, free_port};
use super::post::post;
use crate::job::{Job, Running};
use crate::published::Published;

const PATIENCE: Duration = Duration::from_secs(120);

fn counting(dir: &Cluster, at: SocketAddr, port: SocketAddr) -> Job {
    let job = dir.master_at(at, 2).source("lines", format_args!("http://{port}/lines"));
    let job = job.sink("windowed", "none:").args(["--checkpoint", "2s"]);
    job.files("counts", "csv", &dir.path("out"))
}

/// Posts a word until it is answered.
fn posted(port: SocketAddr, word: &str) -> String {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let status = post(port, "/lines", &format!("{word}\n"));
        if status.is_ok_and(|status| status.starts_with("HTTP/1.1 2")) {
            return word.to_owned();
        }
        assert!(Instant::now() < deadline, "`{word}` is not answered");
        std::thread::yield_now();
    }
}

fn receiver(master: &mut Running, times: usize) -> String {
    master.wait("a receiver", |job| job.events("receiving").count() >= times);
    let event = master.events("receiving").last().expect("it was just there");
    event["worker"].as_str().expect("it has a name").to_owned()
}

fn is_in_use(event: &Value) -> bool {
    event["message"].as_str().is_some_and(|text| text.contains("cannot receive records of `lines`"))
}

/// Checks that every word is published once.
fn assert_all(dir: &Cluster, words: &[String]) {
    let published = Published::read(&dir.path("out"));
    let lines = published.lines();
    for word in words {
        let line = format!("{word},1");
        assert_eq!(lines.iter().filter(|other| **other == line).count(), 1, "{word}: {lines:?}");
    }
}

#[test]
fn a_receiver_that_is_stopped_and_keeps_its_port_ends_no_job() {
    let (dir, port) = (Cluster::new("word_count"), free_port());
    let mut master = counting(&dir, ANY, port).start();
    let addr = master.listening();
    let names = ["w1", "w2", "w3"];
    let crew = dir.crew(&names, addr);
    let first = receiver(&mut master, 1);
    let mut words: Vec<_> = (0..50).map(|n| posted(port, &format!("before{n}"))).collect();
    let which = names.iter().position(|name| *name == first).expect("it is one of the crew");
    crew[which].signal(Signal::STOP);
    // It is replaced as receiver, but the others cannot listen on its port.
    master.event_with("warning", is_in_use);
    let status = dir.status_with("what is wrong with the receiver", |status| {
        let all = status["receivers"].as_array().expect("it is a list");
        all.iter().any(|receiver| receiver["error"].is_string())
    });
    assert_eq!(status["receivers"][0]["stream"], "lines", "{status}");
    crew[which].signal(Signal::CONT);
    assert_eq!(receiver(&mut master, 2), first, "it listens still");
    words.extend((0..50).map(|n| posted(port, &format!("after{n}"))));
    dir.ask(&["stop"]).code(0);
    master.end().code(0);
    crew.into_iter().for_each(|worker| drop(worker.end()));
    assert_all(&dir, &words);
}

#[test]
fn after_a_restart_of_the_master_the_receiver_is_the_one_that_has_the_port() {
    let (dir, port) = (Cluster::new("word_count"), free_port());
    let mut master = counting(&dir, ANY, port).start();
    let addr = master.listening();
    let crew = dir.crew(&["w1", "w2", "w3"], addr);
    let first = receiver(&mut master, 1);
    let mut words: Vec<_> = (0..50).map(|n| posted(port, &format!("before{n}"))).collect();
    for turn in 0..3 {
        master.signal(Signal::KILL);
        master.end();
        master = counting(&dir, addr, port).start();
        assert_eq!(receiver(&mut master, 1), first);
        words.extend((0..20).map(|n| posted(port, &format!("after{turn}x{n}"))));
    }
    dir.ask(&["stop"]).code(0);
    master.end().code(0);
    crew.into_iter().for_each(|worker| drop(worker.end().code(0)));
    assert_all(&dir, &words);
}

/// An address that was never usable is probably wrong.
#[test]
fn an_address_that_was_never_listened_at_is_given_up_after_a_while() {
    let dir = Cluster::new("word_count");
    let taken = TcpListener::bind("127.0.0.1:0").expect("there are ports");
    let port = taken.local_addr().expect("it listens");
    let mut master = counting(&dir, ANY, port).start();
    let addr = master.listening();
    let _crew = dir.crew(&["w1", "w2"], addr);
    master.event_with("warning", is_in_use);
    master.end().code(1).says(&["cannot receive records of `lines`", "help: free the address"]);
}
