//! Workers that receive pushed records, or hold copies, are killed: acknowledged records are processed once,
//! and none twice.
//!
//! The job saves its state rarely, so a new owner must read again what a killed worker received since the
//! start.

use std::collections::BTreeMap;
use std::future::Future;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{JoinHandle, Thread};
use std::time::Duration;

use dstream::client::{Client, ClientError, ClientOptions};
use rustix::process::Signal;

use super::crew::{ANY, Cluster};
use crate::job::{Ended, Job, Running, listens_at};
use crate::published::Published;

const PATIENCE: Duration = Duration::from_secs(120);

/// Counts the words of pushed lines per batch, to standard output.
fn counting(job: Job, source: &str) -> Job {
    saving(job, source).sink("counts", "csv+stdout:?header=false")
}

/// The same without output.
fn saving(job: Job, source: &str) -> Job {
    saving_every(job, "3s", source)
}

fn saving_every(job: Job, every: &str, source: &str) -> Job {
    let job = job.source("lines", source).sink("windowed", "none:").args(["--summary", "json"]);
    job.args(["--checkpoint", every])
}

/// A master and its workers.
fn cluster(dir: &Cluster, source: &str, workers: usize) -> (Running, SocketAddr, Vec<Running>) {
    let mut master = counting(dir.master(workers as u32), source).start();
    let addr = master.listening();
    let names = (1..=workers).map(|n| format!("w{n}"));
    let mut crew: Vec<_> = names.map(|name| dir.worker(&name, addr).start()).collect();
    crew.iter_mut().for_each(|worker| drop(worker.placed(1)));
    (master, addr, crew)
}

/// The receiving worker and its address, once that many receivers were announced.
fn receiving(master: &mut Running, times: usize) -> (usize, SocketAddr) {
    master.wait("a receiver", |job| job.events("receiving").count() >= times);
    let event = master.events("receiving").last().expect("it was just there");
    let name = event["worker"].as_str().and_then(|name| name.strip_prefix('w'));
    let worker: usize = name.and_then(|n| n.parse().ok()).expect("it is one of the crew");
    (worker - 1, listens_at(event))
}

fn kill(crew: &mut [Option<Running>], which: usize) {
    crew[which].take().expect("it lives").signal(Signal::KILL);
}

/// The count of each word in lines of CSV.
fn counted<'l>(lines: impl IntoIterator<Item = &'l str>) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for line in lines {
        let (word, count) = line.rsplit_once(',').unwrap_or_else(|| panic!("{line}"));
        if let Ok(count) = count.parse::<u64>() {
            *counts.entry(word.to_owned()).or_default() += count;
        }
    }
    counts
}

/// Checks that acknowledged words count once, and others at most once.
#[track_caller]
fn assert_once(done: &Ended, safe: &[String], unsure: &[String]) {
    let mut counts = counted(done.out[..done.out.len() - 1].iter().map(String::as_str));
    let missing: Vec<_> = safe.iter().filter(|word| counts.remove(*word) != Some(1)).collect();
    let shown = &missing[..missing.len().min(20)];
    assert!(missing.is_empty(), "{} not once: {shown:?} {}", missing.len(), done.said());
    for word in unsure {
        assert!(counts.remove(word).is_none_or(|count| count == 1), "{word} {}", done.said());
    }
    assert!(counts.is_empty(), "not sent: {counts:?}");
}

/// Runs a future of the client library.
pub(super) fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let (mut context, mut future) = (Context::from_waker(&waker), pin!(future));
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
        std::thread::park();
    }
}

/// A client of the library that sends numbered words until stopped.
struct Sending {
    stop: Arc<AtomicBool>,
    safe: Receiver<usize>,
    thread: JoinHandle<Vec<String>>,
}

impl Sending {
    fn start(dir: &Cluster, master: SocketAddr, name: &'static str) -> Self {
        let (stop, (told, safe)) = (Arc::new(AtomicBool::new(false)), channel());
        let (token, until) = (dir.state().join("client.token"), stop.clone());
        let send = move || block_on(send(token, master, name, &until, &told));
        let thread = std::thread::spawn(move || send().unwrap_or_else(|error| panic!("{error}")));
        Self { stop, safe, thread }
    }

    /// Waits for that many more acknowledgements.
    fn wait(&self, more: usize) {
        while self.safe.try_recv().is_ok() {}
        let mut has = 0;
        while has < more {
            has += self.safe.recv_timeout(PATIENCE).expect("lines are acknowledged");
        }
    }

    /// Stops it; returns its words, all acknowledged.
    fn stop(self) -> Vec<String> {
        self.stop.store(true, Ordering::Release);
        self.thread.join().expect("it has sent")
    }
}

async fn send(
    token: PathBuf,
    master: SocketAddr,
    name: &str,
    until: &AtomicBool,
    told: &Sender<usize>,
) -> Result<Vec<String>, ClientError> {
    let client = Client::connect(ClientOptions::new("word_count", master, token)).await?;
    let mut stream = client.open("lines").await?;
    let mut sent = Vec::new();
    while !until.load(Ordering::Acquire) {
        for _ in 0..10 {
            let word = format!("{name}{}", sent.len());
            stream.send(&word).await?;
            sent.push(word);
        }
        if sent.len() % 100 == 0 {
            stream.flush().await?;
            // The test may be over.
            let _ = told.send(100);
        }
    }
    stream.flush().await?;
    drop(stream);
    client.close().await;
    Ok(sent)
}

/// Kills three of four workers in a row: at the end, one of the last two has received everything, and the
/// other has the copies.
fn kill_all_but_one(order: [usize; 3]) {
    let dir = Cluster::new("word_count");
    let (mut master, addr, crew) = cluster(&dir, "tcp://127.0.0.1:0", 4);
    let mut crew: Vec<_> = crew.into_iter().map(Some).collect();
    let clients = ["a", "b"].map(|name| Sending::start(&dir, addr, name));
    // There is nothing to recover before the first batch.
    master.event("batch");
    for (lost, which) in (1..).zip(order) {
        clients.iter().for_each(|client| client.wait(1000));
        kill(&mut crew, which);
        // Until the loss is noticed, a single worker holds what the lost one held. Then it is copied again.
        master.wait("a recovery", |job| job.events("recovering").count() >= lost);
        clients.iter().for_each(|client| client.wait(2000));
    }
    let sent = clients.map(Sending::stop).concat();
    dir.ask(&["stop"]).code(0);
    assert_once(&master.end().code(0), &sent, &[]);
    for worker in crew.into_iter().flatten() {
        worker.end().code(0);
    }
}

#[test]
fn acknowledged_records_survive_their_receivers() {
    kill_all_but_one([0, 1, 2]);
}

#[test]
fn acknowledged_records_survive_their_receivers_in_another_order() {
    kill_all_but_one([3, 1, 0]);
}

/// A worker is drained and another is killed at that moment: a third holds copies of what both held.
#[test]
fn what_was_acknowledged_stays_when_a_worker_leaves_and_another_is_killed() {
    let dir = Cluster::new("word_count");
    let (mut master, addr, crew) = cluster(&dir, "tcp://127.0.0.1:0", 3);
    let mut crew: Vec<_> = crew.into_iter().map(Some).collect();
    let clients = ["a", "b", "c"].map(|name| Sending::start(&dir, addr, name));
    // There is nothing to recover before the first batch.
    master.event("batch");
    clients.iter().for_each(|client| client.wait(1000));
    dir.ask(&["drain", "w2"]).code(0);
    let mut leaver = crew[1].take().expect("it lives");
    leaver.event("drained");
    // It holds the copies of its predecessor's blocks.
    kill(&mut crew, 2);
    leaver.end().code(0);
    master.event("recovering");
    clients.iter().for_each(|client| client.wait(2000));
    let sent = clients.map(Sending::stop).concat();
    dir.ask(&["stop"]).code(0);
    assert_once(&master.end().code(0), &sent, &[]);
    crew.into_iter().flatten().for_each(|worker| drop(worker.end().code(0)));
}

/// Masters are killed while clients send, the last one together with a worker: the next one learns what was
/// received from its journal and from the holders.
#[test]
fn what_was_acknowledged_survives_its_masters() {
    let dir = Cluster::new("word_count");
    let out = dir.path("out");
    let master =
        |at| saving(dir.master_at(at, 2), "tcp://127.0.0.1:0").files("counts", "csv", &out);
    let mut running = master(ANY).start();
    let addr = running.listening();
    let mut crew: Vec<_> =
        ["w1", "w2", "w3"].map(|name| Some(dir.worker(name, addr).start())).into_iter().collect();
    let clients = ["a", "b"].map(|name| Sending::start(&dir, addr, name));
    for turn in 0..3 {
        clients.iter().for_each(|client| client.wait(1500));
        running.signal(Signal::KILL);
        if turn == 2 {
            kill(&mut crew, 1);
        }
        running.end();
        running = master(addr).start();
        running.event("resumed");
    }
    clients.iter().for_each(|client| client.wait(1500));
    let sent = clients.map(Sending::stop).concat();
    dir.ask(&["stop"]).code(0);
    let done = running.end().code(0);
    let published = Published::read(&out);
    let mut counts = counted(published.lines());
    let missing = sent.iter().filter(|word| counts.remove(*word) != Some(1)).count();
    assert_eq!(missing, 0, "of {} {}", sent.len(), done.said());
    assert!(counts.is_empty(), "not sent: {counts:?}");
    for worker in crew.into_iter().flatten() {
        worker.end().code(0);
    }
}

/// Pushed records are lost with the worker processes of a stopped job: by then its saved states contain
/// them, so it resumes with other processes.
#[test]
fn a_job_that_is_stopped_goes_on_without_those_who_had_received() {
    let dir = Cluster::new("word_count");
    let out = dir.path("out");
    let mut sent = Vec::new();
    for turn in ["a", "b"] {
        let job = dir.master_at(([127, 0, 0, 1], 0).into(), 2);
        // So rare that no save is due before the end.
        let job = saving_every(job, "60s", "tcp://127.0.0.1:0");
        let mut master = job.files("counts", "csv", &out).start();
        let addr = master.listening();
        let crew = ["w1", "w2"].map(|name| dir.worker(name, addr).start());
        let client = Sending::start(&dir, addr, turn);
        client.wait(1000);
        sent.extend(client.stop());
        dir.ask(&["stop"]).code(0);
        master.end().code(0);
        crew.into_iter().for_each(|worker| drop(worker.end().code(0)));
    }
    let published = Published::read(&out);
    let mut counts = counted(published.lines());
    let missing = sent.iter().filter(|word| counts.remove(*word) != Some(1)).count();
    assert_eq!(missing, 0, "of {}", sent.len());
    assert!(counts.is_empty(), "not sent: {counts:?}");
}

/// Posts words until the receiver is gone; returns those answered, and the one that was not.
fn post_until_gone(
    addr: SocketAddr,
    name: &'static str,
    told: &Sender<usize>,
) -> (Vec<String>, String) {
    let mut answered = Vec::new();
    loop {
        let word = format!("{name}{}", answered.len());
        if !post(addr, &word).is_ok_and(|status| status.starts_with("HTTP/1.1 2")) {
            return (answered, word);
        }
        answered.push(word);
        // The test may be over.
        let _ = told.send(1);
    }
}

fn post(addr: SocketAddr, word: &str) -> std::io::Result<String> {
    super::post::post(addr, "/lines", &format!("{word}\n"))
}

#[test]
fn answered_posts_survive_their_receivers() {
    let dir = Cluster::new("word_count");
    let (mut master, _, crew) = cluster(&dir, "http://127.0.0.1:0/lines", 3);
    let mut crew: Vec<_> = crew.into_iter().map(Some).collect();
    let (mut safe, mut unsure) = (Vec::new(), Vec::new());
    master.event("batch");
    for (turn, name) in (1..).zip(["first", "second"]) {
        let (which, addr) = receiving(&mut master, turn);
        let (told, heard) = channel();
        let posting = std::thread::spawn(move || post_until_gone(addr, name, &told));
        for _ in 0..150 {
            heard.recv_timeout(PATIENCE).expect("posts are answered");
        }
        kill(&mut crew, which);
        let (answered, word) = posting.join().expect("it has posted");
        safe.extend(answered);
        unsure.push(word);
        master.wait("recovery", |job| job.events("recovering").count() >= turn);
    }
    let (_, addr) = receiving(&mut master, 3);
    for word in ["last0", "last1"] {
        let status = post(addr, word).expect("it listens");
        assert!(status.starts_with("HTTP/1.1 2"), "{status}");
        safe.push(word.to_owned());
    }
    dir.ask(&["stop"]).code(0);
    assert_once(&master.end().code(0), &safe, &unsure);
}

#[test]
fn posts_survive_the_holders_of_their_copies() {
    let dir = Cluster::new("word_count");
    let (mut master, addr, crew) = cluster(&dir, "http://127.0.0.1:0/lines", 2);
    let mut crew: Vec<_> = crew.into_iter().map(Some).collect();
    let (which, at) = receiving(&mut master, 1);
    let mut words = (0..).map(|n| format!("word{n}"));
    let mut safe = Vec::new();
    let mut some = |safe: &mut Vec<String>| {
        for word in words.by_ref().take(100) {
            let status = post(at, &word).expect("it listens");
            assert!(status.starts_with("HTTP/1.1 2"), "{status}");
            safe.push(word);
        }
    };
    some(&mut safe);
    kill(&mut crew, 1 - which);
    // Received without copies until the loss of the other is known, then copied to the next worker.
    some(&mut safe);
    let mut third = dir.worker("w3", addr).start();
    third.placed(1);
    some(&mut safe);
    kill(&mut crew, which);
    let (next, at) = receiving(&mut master, 2);
    assert_eq!(next, 2);
    post(at, "end").expect("it listens");
    safe.push("end".to_owned());
    dir.ask(&["stop"]).code(0);
    assert_once(&master.end().code(0), &safe, &[]);
}

#[test]
fn lines_of_tcp_are_never_counted_twice() {
    let dir = Cluster::new("word_count");
    let (mut master, _, crew) = cluster(&dir, "tcp://127.0.0.1:0", 3);
    let mut crew: Vec<_> = crew.into_iter().map(Some).collect();
    let (which, addr) = receiving(&mut master, 1);
    // At most this far ahead of the test.
    let (told, heard) = sync_channel(100);
    let writing = std::thread::spawn(move || {
        let mut stream = TcpStream::connect(addr).expect("it listens");
        let mut sent = Vec::new();
        loop {
            let word = format!("word{}", sent.len());
            let written = stream.write_all(format!("{word}\n").as_bytes());
            sent.push(word);
            if written.is_err() || told.send(()).is_err() {
                return sent;
            }
        }
    });
    for _ in 0..2000 {
        heard.recv_timeout(PATIENCE).expect("lines are received");
    }
    master.wait("output", |job| job.out.len() > 100);
    kill(&mut crew, which);
    drop(heard);
    let unsure = writing.join().expect("it has sent");
    let (_, addr) = receiving(&mut master, 2);
    let mut stream = TcpStream::connect(addr).expect("it listens");
    let sure: Vec<_> = (0..500).map(|n| format!("sure{n}")).collect();
    stream.write_all((sure.join("\n") + "\n").as_bytes()).expect("it receives");
    drop(stream);
    dir.ask(&["stop"]).code(0);
    assert_once(&master.end().code(0), &sure, &unsure);
}
