//! Changed clocks and downtime: batch times continue, results are as if time had passed, and the job is live
//! again within seconds.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::process::Signal;
use serde_json::Value;

use super::crew::{ANY, Cluster, all_end};
use super::preload::library;
use super::restarts::kill;
use crate::job::{Job, Running, binary};
use crate::published::Published;

/// The wall clock of some processes.
struct Clock(PathBuf);

impl Clock {
    fn new(cluster: &Cluster, name: &str) -> Self {
        let clock = Self(cluster.path(name));
        clock.set(0);
        clock
    }

    /// Sets it ahead of the host's, in seconds.
    fn set(&self, seconds: i64) {
        fs::write(&self.0, seconds.to_string()).expect("there is room");
    }

    fn job(&self, name: &str) -> Job {
        let mut command = Command::new(binary(name));
        command.env("LD_PRELOAD", library("clock.c")).env("DSTREAM_TEST_CLOCK", &self.0);
        Job::of(command)
    }
}

/// `word_count` of a growing directory, on a master and a worker with their own clocks.
struct Words {
    cluster: Cluster,
    master: Clock,
    worker: Clock,
}

const INTERVAL_MS: u64 = 1000;
/// The window, in batches.
const WINDOW: u64 = 30_000 / INTERVAL_MS;

impl Words {
    fn new() -> Self {
        let cluster = Cluster::new("word_count");
        fs::create_dir(cluster.path("in")).expect("there is room");
        let (master, worker) =
            (Clock::new(&cluster, "of-master"), Clock::new(&cluster, "of-worker"));
        Self { cluster, master, worker }
    }

    fn start_master(&self, at: SocketAddr) -> Running {
        let input = self.cluster.path("in");
        let job = self.cluster.as_master(self.master.job("word_count"), at, 1);
        let job = job.args(["--checkpoint", "1s"]);
        let job = job.source("lines", format_args!("file://{}?follow", input.display()));
        let job = job.files("counts", "csv", &self.cluster.path("counts"));
        job.files("windowed", "csv", &self.cluster.path("windowed")).start()
    }

    fn start_worker(&self, at: SocketAddr) -> Running {
        let job = self.worker.job("word_count");
        let job = self.cluster.as_stranger(job, "of-w1", "w1", at);
        job.args(["--token-file".as_ref(), self.cluster.token().as_os_str()]).start()
    }

    fn start(&self) -> (Running, Running) {
        let mut master = self.start_master(ANY);
        let at = master.listening();
        (master, self.start_worker(at))
    }

    fn add(&self, line: &str) {
        let file = self.cluster.path("in/lines.txt");
        let file = OpenOptions::new().append(true).create(true).open(file);
        writeln!(file.expect("there is room"), "{line}").expect("there is room");
    }

    fn published(&self, output: &str) -> BTreeMap<u64, Vec<String>> {
        let published = Published::read(&self.cluster.path(output)).0;
        let lines = |(time, parts): (u64, Vec<Vec<String>>)| {
            let mut lines = parts.concat();
            lines.sort_unstable();
            (time, lines)
        };
        published.into_iter().map(lines).collect()
    }

    /// Adds a line with one word and waits until it is counted; returns its batch time.
    fn counted(&self, master: &mut Running, word: &str) -> u64 {
        self.add(word);
        let counts = self.cluster.path("counts");
        let line = format!("{word},1");
        let mut found = None;
        master.wait(word, |_| {
            // A batch that is being published has a manifest first.
            let names = fs::read_dir(&counts).into_iter().flatten().flatten();
            let times = names.filter_map(|name| name.file_name().to_str()?.parse::<u64>().ok());
            let has = |time: &u64| {
                let parts = fs::read_dir(counts.join(time.to_string())).into_iter().flatten();
                let texts = parts.flatten().filter_map(|part| fs::read_to_string(part.path()).ok());
                texts.into_iter().any(|text| text.lines().any(|of| of == line))
            };
            found = times.into_iter().find(has);
            found.is_some()
        });
        found.expect("it was just there")
    }
}

fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later");
    now.as_millis() as u64
}

/// Checks a window over single words: each word is in the batches of one window length from its own.
#[track_caller]
fn assert_windows(windowed: &BTreeMap<u64, Vec<String>>, words: &[(u64, &str)], until: u64) {
    let mut expected: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    for (time, word) in words {
        for batch in (0..WINDOW).map(|n| time + n * INTERVAL_MS).filter(|batch| *batch <= until) {
            expected.entry(batch).or_default().push(format!("{word},1"));
        }
    }
    expected.values_mut().for_each(|words| words.sort_unstable());
    assert_eq!(*windowed, expected);
}

#[test]
fn a_weekend_of_downtime_is_made_up_for_in_seconds() {
    const WEEKEND: u64 = 216_000;
    let words = Words::new();
    let (mut master, worker) = words.start();
    let first = words.counted(&mut master, "friday");
    kill(master);
    kill(worker);
    [&words.master, &words.worker].iter().for_each(|clock| clock.set(WEEKEND as i64));
    let begun = Instant::now();
    let (mut master, worker) = words.start();
    let second = words.counted(&mut master, "monday");
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
    assert!(second + 60_000 > now_ms() + WEEKEND * 1000, "{second}: it belongs to when it came");
    assert_eq!((second - first) % INTERVAL_MS, 0);
    master.signal(Signal::TERM);
    let done = master.end().code(0);
    all_end([worker]);
    let said = done.err.join("\n");
    assert!(said.contains("empty ones in one step"), "{}", done.said());
    // A batch without records has no directory; the window is complete.
    assert_eq!(words.published("counts").keys().copied().collect::<Vec<_>>(), [first, second]);
    let windowed = words.published("windowed");
    let last = *windowed.keys().next_back().expect("there are some");
    assert_windows(&windowed, &[(first, "friday"), (second, "monday")], last);
}

#[test]
fn a_clock_that_was_set_back_before_a_restart_holds_nothing_up() {
    for back in [-40, -3600] {
        let words = Words::new();
        let (mut master, worker) = words.start();
        let first = words.counted(&mut master, "before");
        kill(master);
        kill(worker);
        [&words.master, &words.worker].iter().for_each(|clock| clock.set(back));
        let (mut master, worker) = words.start();
        let warning = master.event_with("warning", |event| {
            event["message"]
                .as_str()
                .is_some_and(|text| text.contains("behind the last batch time"))
        });
        let begun = Instant::now();
        let second = words.counted(&mut master, "after");
        let third = words.counted(&mut master, "later");
        assert!(first < second && second < third, "{first}, {second}, {third}");
        let passed = Duration::from_millis(third - first);
        assert!(passed < begun.elapsed() + Duration::from_secs(30), "{passed:?}: {warning}");
        let behind = words.cluster.status()["clock_behind_ms"].as_u64();
        assert!(behind.is_some_and(|ms| ms > 30_000), "{behind:?}");
        // Corrected again: batch times continue.
        [&words.master, &words.worker].iter().for_each(|clock| clock.set(0));
        let fourth = words.counted(&mut master, "right");
        assert!(third < fourth && fourth < now_ms() + 60_000, "{fourth}");
        master.signal(Signal::TERM);
        master.end().code(0);
        all_end([worker]);
    }
}

#[test]
fn a_master_whose_clock_is_wrong_after_a_restart_has_its_workers_back() {
    for wrong in [-3600, 3600] {
        let words = Words::new();
        let (mut master, worker) = words.start();
        let at = master.listening();
        let first = words.counted(&mut master, "before");
        kill(master);
        words.master.set(wrong);
        let mut master = words.start_master(at);
        let second = words.counted(&mut master, "wrong");
        assert!(first < second, "{first}, {second}");
        words.master.set(0);
        let third = words.counted(&mut master, "right");
        assert!(second < third, "{second}, {third}");
        master.signal(Signal::TERM);
        master.end().code(0);
        all_end([worker]);
    }
}

#[test]
fn a_certificate_that_has_expired_by_the_masters_clock_is_tried_again() {
    let words = Words::new();
    let (mut master, mut worker) = words.start();
    let at = master.listening();
    words.counted(&mut master, "before");
    kill(master);
    // The worker's certificates, and the token, have expired by that clock.
    words.master.set(3 * 86_400);
    let mut master = words.start_master(at);
    let refused = |event: &Value| {
        event["message"]
            .as_str()
            .is_some_and(|text| text.contains("clocks of this host and of the master"))
    };
    worker.event_with("warning", refused);
    words.master.set(0);
    words.counted(&mut master, "right");
    master.signal(Signal::TERM);
    master.end().code(0);
    all_end([worker]);
}

#[test]
fn a_clock_that_stays_ahead_is_followed() {
    let words = Words::new();
    let (mut master, worker) = words.start();
    let first = words.counted(&mut master, "before");
    words.master.set(7200);
    master.event_with("warning", |event| {
        event["message"].as_str().is_some_and(|text| text.contains("ahead of batch times"))
    });
    let second = words.counted(&mut master, "after");
    assert!(second >= first + 7_190_000, "{first}, {second}");
    master.signal(Signal::TERM);
    master.end().code(0);
    all_end([worker]);
    let windowed = words.published("windowed");
    let last = *windowed.keys().next_back().expect("there are some");
    assert_windows(&windowed, &[(first, "before"), (second, "after")], last);
}

#[test]
fn a_frozen_process_skips_no_tick() {
    let cluster = Cluster::new("word_count");
    let file = cluster.path("lines.txt");
    fs::write(&file, "before\n").expect("there is room");
    let job = Job::example("word_count").args(["--log", "json"]);
    let job = job.source("lines", format_args!("file://{}?follow", file.display()));
    let job = job.files("counts", "csv", &cluster.path("counts"));
    let mut job = job.files("windowed", "csv", &cluster.path("windowed")).start();
    let counted = |job: &mut Running, counts: usize| {
        let dir = cluster.path("counts");
        job.wait("a count", |_| fs::read_dir(&dir).is_ok_and(|dir| dir.count() >= counts));
    };
    counted(&mut job, 1);
    job.signal(Signal::STOP);
    assert!(!job.ends_within(Duration::from_secs(4)), "it is frozen");
    job.signal(Signal::CONT);
    let mut more = OpenOptions::new().append(true).open(&file).expect("it is there");
    writeln!(more, "after").expect("there is room");
    counted(&mut job, 2);
    job.signal(Signal::TERM);
    job.end().code(0);
    let read = |output: &str| Published::read(&cluster.path(output)).0;
    let counts: Vec<u64> = read("counts").into_keys().collect();
    assert!(counts[1] - counts[0] >= 4000, "it belongs to when it was read: {counts:?}");
    let windowed: BTreeMap<_, _> =
        read("windowed").into_iter().map(|(time, parts)| (time, parts.concat())).collect();
    let last = *windowed.keys().next_back().expect("there are some");
    let sorted = windowed.into_iter().map(|(time, mut lines)| {
        lines.sort_unstable();
        (time, lines)
    });
    assert_windows(&sorted.collect(), &[(counts[0], "before"), (counts[1], "after")], last);
}
