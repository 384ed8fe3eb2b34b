//! More is sent than a job can process: its batches stay as large as what it can do in about an interval, its memory
//! stays near `--memory`, its clients wait, and everything that was acknowledged is counted once.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::job::{Ended, Job, Running};

/// What each process is given.
pub(crate) const MEMORY: u64 = 64 << 20;
/// What a process has beside it, with some margin: see "Memory" in `docs/operation.md`.
const BESIDE: u64 = 48 << 20;
/// The job begins: lines of the log, of a second each.
const BEGINS: usize = 3;
/// Lines of the log that are looked at.
const LOOKED_AT: usize = 6;
/// Under a load that other tests make, too, no batch is under way for longer than this many intervals, and none has more
/// intervals' work. Without a limit it is what memory holds: more than a hundred. The most that was seen on two cores
/// with a dozen other busy processes was 8.5 and 5.3.
const MOST: f64 = 8.0;
/// What is allowed beside that, in milliseconds, for short intervals: the wait for a core of a busy machine.
const BUSY_MS: f64 = 1000.0;
/// Keys of the lines that are sent.
const KEYS: usize = 50;
/// How much a line has, and how many there are in a body.
const WIDTH: usize = 1000;
const LINES: usize = 100;

/// Lines with their number of rounds, with how often each key is in them.
pub(crate) fn body(rounds: u64) -> String {
    let line = |n: usize| {
        let line = format!("k{} {rounds} ", n % KEYS);
        format!("{line}{}\n", "x".repeat(WIDTH - 1 - line.len()))
    };
    (0..LINES).map(line).collect()
}

/// Clients that send without a pause.
pub(crate) struct Senders {
    stop: Arc<AtomicBool>,
    /// Bodies that were acknowledged, and requests that were told to come again.
    pub(crate) taken: Arc<AtomicU64>,
    pub(crate) refused: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

impl Senders {
    pub(crate) fn start(
        count: usize,
        send: impl Fn(&AtomicU64, &AtomicU64) + Send + Sync + 'static,
    ) -> Self {
        let (stop, send) = (Arc::new(AtomicBool::new(false)), Arc::new(send));
        let (taken, refused) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let sending = |_| {
            let (stop, send) = (stop.clone(), send.clone());
            let (taken, refused) = (taken.clone(), refused.clone());
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    send(&taken, &refused);
                }
            })
        };
        let threads = (0..count).map(sending).collect();
        Self { stop, taken, refused, threads }
    }

    /// Posts to an address.
    pub(crate) fn http(address: SocketAddr, rounds: u64) -> Self {
        let body = body(rounds);
        Self::start(4, move |taken, refused| match post(address, &body) {
            200 => drop(taken.fetch_add(1, Ordering::Relaxed)),
            503 => drop(refused.fetch_add(1, Ordering::Relaxed)),
            other => panic!("status {other}"),
        })
    }

    /// Posts to the receiver, which may move: clients that look for it again where nothing listens any more.
    pub(crate) fn looking(
        find: impl Fn() -> SocketAddr + Send + Sync + 'static,
        rounds: u64,
    ) -> Self {
        let (body, at) = (body(rounds), Mutex::new(find()));
        Self::start(4, move |taken, refused| {
            let before = *at.lock().expect("no client has panicked");
            match TcpStream::connect(before).map(|stream| post_on(&stream, &body)) {
                Ok(200) => drop(taken.fetch_add(1, Ordering::Relaxed)),
                Ok(503) => drop(refused.fetch_add(1, Ordering::Relaxed)),
                Ok(other) => panic!("status {other}"),
                Err(_) => *at.lock().expect("no client has panicked") = find(),
            }
        })
    }

    /// Waits for the last answers: how many bodies were acknowledged.
    pub(crate) fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.into_iter().for_each(|thread| thread.join().expect("it has sent"));
        self.taken.load(Ordering::Relaxed)
    }
}

/// Posts a body; the status of the answer. A connection that breaks is a refusal whose answer was overtaken by its
/// end, since the body was not read: if it were none, the counts at the end would show it.
fn post(address: SocketAddr, body: &str) -> u16 {
    post_on(&TcpStream::connect(address).expect("it listens"), body)
}

/// The same, on a connection.
fn post_on(mut stream: &TcpStream, body: &str) -> u16 {
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("it is a socket");
    let head = format!(
        "POST /lines HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    // One that is told to come again may find its connection closed.
    let _ = stream.write_all(head.as_bytes());
    let _ = stream.write_all(body.as_bytes());
    let (mut answer, mut status) = (BufReader::new(stream), String::new());
    if answer.read_line(&mut status).is_err() {
        return 503;
    }
    let _ = answer.read_to_end(&mut Vec::new());
    status.get(9..12).and_then(|status| status.parse().ok()).unwrap_or(503)
}

/// The job, with so much memory.
pub(crate) fn working(job: Job, interval: &str, source: &str) -> Job {
    let job = job.source("lines", source).sink("counts", "csv+stdout:?header=false");
    job.args(["--interval", interval, "--summary", "json", "--partitions", "8"])
}

/// The memory of a process that lies in no file, in bytes.
fn anonymous(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("it is there");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("it is a number") << 10
}

/// Looks at batches for some time, and at the memory of processes.
#[track_caller]
pub(crate) fn assert_settles(job: &mut Running, others: &[&Running], interval_ms: f64) {
    let (from, mut most) = (job.events("batch").count(), 0);
    for seen in from..from + BEGINS + LOOKED_AT {
        job.wait("batches", |job| job.events("batch").count() > seen);
        let pids = others.iter().map(|other| other.pid()).chain([job.pid()]);
        most = pids.map(anonymous).fold(most, u64::max);
    }
    let number = |event: &Value, name: &str| event[name].as_f64().expect("it is a number");
    let mut longest = (0.0, 0.0);
    for event in job.events("batch").skip(from + BEGINS).take(LOOKED_AT) {
        let took = number(event, "processing_ms");
        assert!(took <= MOST * interval_ms + BUSY_MS, "a batch took {took} ms: {event}");
        let intervals = intervals(event, interval_ms);
        assert!(intervals <= MOST, "batches had {intervals} intervals' work: {event}");
        assert!(number(event, "records") > 0.0, "nothing was taken in: {event}");
        longest = (f64::max(longest.0, took), f64::max(longest.1, intervals));
    }
    eprintln!("{interval_ms} ms: {:.0} ms, {:.1} intervals", longest.0, longest.1);
    assert!(most < MEMORY + BESIDE, "{} MiB of {}", most >> 20, MEMORY >> 20);
}

/// Batches that take in what waited when a job was stopped are no larger than others: `before` lines of the log were
/// written by then.
#[track_caller]
pub(crate) fn assert_stopped(done: &Ended, before: usize, interval_ms: f64) {
    let events = done.err.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let batches = events.filter(|event| event["event"] == "batch").skip(before);
    let most = batches.map(|event| intervals(&event, interval_ms)).fold(0.0, f64::max);
    eprintln!("stopped: {most:.1} intervals");
    assert!(most <= MOST, "a last batch had {most} intervals' work: {}", done.said());
}

/// How many intervals' work the batches of a line of the log had in the mean.
fn intervals(event: &Value, interval_ms: f64) -> f64 {
    let number = |name: &str| event[name].as_f64().expect("it is a number");
    let records = number("records") / number("batches");
    records / (number("records_per_second") * interval_ms / 1000.0).max(f64::MIN_POSITIVE)
}

/// Every key has the last count that it should have after these bodies.
#[track_caller]
pub(crate) fn assert_counted(out: &[String], bodies: u64) {
    let mut last: BTreeMap<&str, u64> = BTreeMap::new();
    for line in out {
        if let Some((key, count)) = line.rsplit_once(',')
            && let Ok(count) = count.parse()
        {
            last.insert(key, count);
        }
    }
    let each = bodies * (LINES / KEYS) as u64;
    assert_eq!(last.len(), KEYS);
    assert!(last.values().all(|count| *count == each), "not {each} each: {last:?}");
}

/// More than this job can do arrives by HTTP for some seconds, then what takes several times as long.
fn overloaded(interval: &str, interval_ms: f64) {
    let job = working(
        Job::example("work"),
        interval,
        "http://127.0.0.1:0/lines?max_body=1MiB&max_line=64KiB",
    );
    let memory = format!("{MEMORY}B");
    let mut job = job.args(["--log", "json", "--cores", "1", "--memory", &memory]).start();
    let address = job.address();
    let cheap = Senders::http(address, 20_000);
    assert_settles(&mut job, &[], interval_ms);
    // A step up.
    let (mut bodies, dear) = (cheap.stop(), Senders::http(address, 80_000));
    assert_settles(&mut job, &[], interval_ms);
    // And down.
    bodies += dear.stop();
    let cheap = Senders::http(address, 10_000);
    assert_settles(&mut job, &[], interval_ms);
    let refused = cheap.refused.clone();
    bodies += cheap.stop();
    job.catch_up();
    let before = job.events("batch").count();
    job.signal(Signal::TERM);
    let done = job.end().code(0);
    assert_stopped(&done, before, interval_ms);
    assert_eq!(done.summary()["records"], bodies * LINES as u64, "{}", done.said());
    assert_counted(&done.out, bodies);
    eprintln!("{bodies} bodies, {} refused", refused.load(Ordering::Relaxed));
}

#[test]
fn batches_fit_long_intervals() {
    overloaded("250ms", 250.0);
}

#[test]
fn batches_fit_short_intervals() {
    overloaded("20ms", 20.0);
}

#[test]
fn a_client_that_is_not_acknowledged_is_held_back() {
    let job = working(Job::example("work"), "100ms", "tcp://127.0.0.1:0?max_line=64KiB");
    let memory = format!("{MEMORY}B");
    let mut job = job.args(["--log", "json", "--cores", "1", "--memory", &memory]).start();
    let (address, body) = (job.address(), body(50_000));
    let stream = TcpStream::connect(address).expect("it listens");
    let senders = Senders::start(1, move |taken, _| {
        (&stream).write_all(body.as_bytes()).expect("it receives");
        taken.fetch_add(1, Ordering::Relaxed);
    });
    assert_settles(&mut job, &[], 100.0);
    let done: f64 = job.events("batch").filter_map(|event| event["records"].as_f64()).sum();
    let ahead = senders.taken.load(Ordering::Relaxed) * (LINES * WIDTH) as u64;
    let ahead = ahead.saturating_sub(done as u64 * WIDTH as u64);
    assert!(ahead < MEMORY, "the client is {} MiB ahead", ahead >> 20);
    // All that was written is read before the job ends, since it is not stopped before.
    let bodies = senders.stop();
    let lines = (bodies * LINES as u64) as f64;
    job.wait("all lines", |job| {
        job.events("batch").filter_map(|event| event["records"].as_f64()).sum::<f64>() >= lines
    });
    job.signal(Signal::TERM);
    let done = job.end().code(0);
    assert_eq!(done.summary()["records"], bodies * LINES as u64, "{}", done.said());
    assert_counted(&done.out, bodies);
}
