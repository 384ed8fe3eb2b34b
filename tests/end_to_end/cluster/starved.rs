//! A worker that has a small part of a processor and is never lost: the one that joined first and reads. It must not
//! hold up the others; and nothing is lost or counted twice when its work goes elsewhere and comes back.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde_json::Value;

use super::crew::{Cluster, all_end, partitions};
use crate::job::Running;
use crate::published::Published;

/// A starved worker runs for this part of each period.
const RUNS: Duration = Duration::from_millis(9);
const PERIOD: Duration = Duration::from_millis(60);
/// How late batches may be while a worker is starved, once the others have its work: ten intervals.
const LATE_MS: u64 = 2500;
/// Records of a body, and customers of all.
const BODY: u64 = 400;
const CUSTOMERS: u64 = 500;

/// A process that gets 15 % of its time, until this is dropped.
struct Starving {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Starving {
    fn start(process: &Running) -> Self {
        let pid = Pid::from_raw(process.pid() as i32).expect("it is a process");
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).expect("it runs");
        let (stop, stopped) = channel();
        let thread = std::thread::spawn(move || {
            let goes_on = |time| stopped.recv_timeout(time) == Err(RecvTimeoutError::Timeout);
            loop {
                let is_there = pidfd_send_signal(&pidfd, Signal::STOP).is_ok();
                let goes_on_still = is_there && goes_on(PERIOD - RUNS);
                // It may have ended.
                let _ = pidfd_send_signal(&pidfd, Signal::CONT);
                if !goes_on_still || !goes_on(RUNS) {
                    return;
                }
            }
        });
        Self { stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Starving {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Sends orders at a steady rate, and knows what was sent by customer.
struct Orders {
    stop: Arc<AtomicBool>,
    /// Records that were sent, and are safe.
    sent: Arc<AtomicU64>,
    thread: JoinHandle<BTreeMap<String, u64>>,
}

impl Orders {
    /// `rate` records a second; `send` says whether a body is safe.
    fn start(rate: u64, mut send: impl FnMut(&str) -> bool + Send + 'static) -> Self {
        let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (until, count) = (stop.clone(), sent.clone());
        let thread = std::thread::spawn(move || {
            let (begun, mut totals, mut number) = (Instant::now(), BTreeMap::new(), 0);
            while !until.load(Ordering::Acquire) {
                let mut body = String::new();
                for n in number..number + BODY {
                    let customer = format!("c{}", n * 7919 % CUSTOMERS);
                    body += &format!("{customer},{}\n", n % 100);
                    *totals.entry(customer).or_insert(0) += n % 100;
                }
                number += BODY;
                while !send(&body) {
                    std::thread::yield_now();
                }
                count.store(number, Ordering::Release);
                let due = begun + Duration::from_millis(number * 1000 / rate);
                std::thread::park_timeout(due.saturating_duration_since(Instant::now()));
            }
            totals
        });
        Self { stop, sent, thread }
    }

    fn sent(&self) -> u64 {
        self.sent.load(Ordering::Acquire)
    }

    fn stop(self) -> BTreeMap<String, u64> {
        self.stop.store(true, Ordering::Release);
        self.thread.thread().unpark();
        self.thread.join().expect("it has sent")
    }
}

/// A master that sums up orders, and three workers that run one task at a time.
fn cluster(dir: &Cluster, shop: &str) -> (Running, [Running; 3]) {
    let phone = dir.path("phone.csv");
    fs::write(&phone, "customer,cents\n").expect("there is room");
    let master = dir.master(3).source("shop", shop).source("phone", phone.display());
    let master = master.files("totals", "csv", &dir.path("out"));
    let args = ["--interval", "250ms", "--checkpoint", "2s", "--summary", "json"];
    let mut master = master.args(args).start();
    let addr = master.listening();
    let worker = |name: &str| dir.worker(name, addr).args(["--cores", "1"]).start();
    // Who joins first receives and reads.
    let first = worker("w1");
    master.event_with("joined", |event| event["worker"] == "w1");
    (master, [first, worker("w2"), worker("w3")])
}

fn of<'s>(status: &'s Value, name: &str) -> Option<&'s Value> {
    status["workers"].as_array()?.iter().find(|worker| worker["name"] == name)
}

/// What was published last for each customer.
fn published(out: &Path) -> BTreeMap<String, u64> {
    let pair = |line: &str| {
        let (customer, cents) = line.rsplit_once(',').expect("it is a pair");
        (customer.to_owned(), cents.parse().expect("it is a number"))
    };
    Published::read(out).lines().into_iter().map(pair).collect()
}

/// The first worker is starved: the others get its work, batches are on time all the while, and it gets it back.
fn starve(dir: &Cluster, mut master: Running, crew: [Running; 3], orders: Orders) {
    let settled = orders.sent() + 20 * BODY;
    dir.status_with("the job runs", |_| orders.sent() > settled);
    let starving = Starving::start(&crew[0]);
    master.event_with("slow", |event| event["worker"] == "w1");
    let has_less = |status: &Value| {
        let share = of(status, "w1").and_then(|worker| worker["share"].as_u64());
        share.is_some_and(|share| share <= 25) && partitions(status, "w1") <= Some(2)
    };
    dir.status_with("less work for a starved worker", has_less);
    let is_on_time = |status: &Value| status["delay_ms"].as_u64().unwrap_or(0) <= LATE_MS;
    dir.status_with("batches on time", is_on_time);
    // For as long as it takes to send as much again as was sent until here, which is at least some seconds.
    let until = orders.sent() + 40 * BODY;
    let late = std::cell::RefCell::new(Vec::new());
    dir.status_with("more orders", |status| {
        late.borrow_mut().push(status["delay_ms"].as_u64().unwrap_or(0));
        orders.sent() > until
    });
    let late = late.into_inner();
    let on_time = late.iter().filter(|late| **late <= LATE_MS).count();
    assert!(on_time * 10 >= late.len() * 9, "{late:?}");
    drop(starving);
    master.event_with("fast_again", |event| event["worker"] == "w1");
    let sent = orders.sent();
    let totals = orders.stop();
    dir.ask(&["stop"]).code(0);
    let done = master.end().code(0);
    assert!(done.summary()["records"].as_u64() >= Some(sent), "{}", done.said());
    all_end(crew);
    assert_eq!(published(&dir.path("out")), totals);
}

#[test]
#[ignore = "needs a quiet machine: where other tests starve all workers alike, none is slower than the others"]
fn a_starved_worker_that_reads_a_followed_file_does_not_hold_up_the_job() {
    let dir = Cluster::new("two_sources");
    let path = dir.path("orders.csv");
    fs::write(&path, "customer,cents\n").expect("there is room");
    let (master, crew) = cluster(&dir, &format!("file://{}?follow", path.display()));
    let mut file = fs::OpenOptions::new().append(true).open(&path).expect("it is there");
    let orders = Orders::start(150_000, move |body| {
        file.write_all(body.as_bytes()).expect("there is room");
        true
    });
    starve(&dir, master, crew, orders);
}
