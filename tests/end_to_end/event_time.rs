//! Windows of event time over real logs: what `awk` counts, over history and live, whatever happens on the way.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use rustix::process::Signal;

use crate::job::{Job, shell};
use crate::published::Published;
use crate::text::Random;

/// Lines of an access log, over `minutes` from 13:00 of November 1st, up to 9 seconds out of order.
pub(crate) fn log(lines: u64, minutes: u64, seed: u64) -> Vec<String> {
    let mut random = Random(seed);
    let line = |n: u64| {
        let second = 13 * 3600 + 10 + n * minutes * 60 / lines - random.below(10);
        let (day, of_day) = (1 + second / 86_400, second % 86_400);
        let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
        let status = [200, 200, 200, 304, 404, 500][random.below(6) as usize];
        let (page, bytes) = (random.below(7), random.below(9000));
        format!(
            "192.0.2.{page} - - [{day:02}/Nov/2026:{hour:02}:{minute:02}:{second:02} +0000] \
             \"GET /{page} HTTP/1.1\" {status} {bytes} \"-\" \"-\"\n"
        )
    };
    (0..lines).map(line).collect()
}

/// Requests by minute and status, as `awk` counts them in all files of a directory, sorted.
pub(crate) fn counted(dir: &Path) -> Vec<String> {
    let script = r#"
        cat *.log | awk '{
            split(substr($4, 2), t, "[/:]")
            seconds = t[1] * 86400 + t[4] * 3600 + t[5] * 60
            n[seconds " " $9]++
        }
        function date(s) {
            return sprintf("2026-11-%02dT%02d:%02d:00.000Z", s / 86400, s % 86400 / 3600, s % 3600 / 60)
        }
        END { for (key in n) {
            split(key, k, " ")
            print date(k[1]) "," date(k[1] + 60) "," k[2] "," n[key]
        } }' | LC_ALL=C sort"#;
    shell(dir, script).lines().map(str::to_owned).collect()
}

/// The job, with requests by minute and status as rows of CSV.
fn per_minute(source: &str) -> Job {
    let job = Job::example("access_log").source("lines", source);
    job.args(["--summary", "json", "--log", "json"])
}

#[test]
fn history_gives_what_awk_counts_in_whatever_batches_it_is_read() {
    let dir = tempfile::tempdir().expect("a directory");
    let logs = dir.path().join("logs");
    fs::create_dir(&logs).expect("there is room");
    // Each file is of the whole time: the second begins long before the first ends.
    let mut random = Random(5);
    let mut files = [const { String::new() }; 3];
    for line in log(20_000, 300, 1) {
        files[random.below(3) as usize].push_str(&line);
    }
    for (n, text) in files.iter().enumerate() {
        fs::write(logs.join(format!("{n}.log")), text).expect("there is room");
    }
    let expected = counted(&logs);
    assert!(expected.len() > 1000);
    for (n, options) in
        ["", "?batch_records=1700", "?batch_records=211&split=3000"].into_iter().enumerate()
    {
        for partitions in ["1", "7"] {
            let out = dir.path().join(format!("out-{n}-{partitions}"));
            let source = format!("file://{}/*.log{options}", logs.display());
            let job = per_minute(&source).files("per_minute", "csv", &out);
            let done = job.args(["--partitions", partitions]).run().code(0);
            assert_eq!(
                (&done.summary()["late"], &done.summary()["records"]),
                (&0.into(), &20_000.into())
            );
            let published = Published::read(&out);
            let lines = published.lines().into_iter();
            let mut lines: Vec<&str> =
                lines.filter(|line| !line.starts_with("window_start")).collect();
            lines.sort_unstable();
            assert_eq!(lines, expected, "{options}, {partitions} partitions");
        }
    }
}

#[test]
fn a_followed_log_has_the_windows_of_history_also_when_the_job_is_killed() {
    let dir = tempfile::tempdir().expect("a directory");
    let (logs, out) = (dir.path().join("logs"), dir.path().join("out"));
    fs::create_dir(&logs).expect("there is room");
    let source = format!("file://{}/*.log?follow", logs.display());
    let job = || {
        let job = per_minute(&source).files("per_minute", "csv", &out).current_dir(dir.path());
        job.args(["--interval", "20ms", "--state", "state"])
    };
    let lines = log(6000, 200, 2);
    let mut text = [String::new(), String::new()];
    let mut append = |chunk: &[String]| {
        for (at, line) in chunk.iter().enumerate() {
            let _ = write!(text[at % 2], "{line}");
        }
        for (at, text) in text.iter().enumerate() {
            fs::write(logs.join(format!("{at}.new")), text).expect("there is room");
            // Appended, as a server does it.
            let had = format!("$(stat -c %s {at}.log 2>/dev/null || echo 0)");
            shell(&logs, &format!("tail -c +$(({had} + 1)) {at}.new >> {at}.log; rm {at}.new"));
        }
    };
    let mut chunks = lines.chunks(600);
    // Both have records from the start: those of a file that comes later may be late.
    append(chunks.next().expect("there is one"));
    let mut running = job().start();
    for (n, chunk) in chunks.enumerate() {
        append(chunk);
        if n == 3 {
            running.wait("windows", |_| out.exists() && !published(&out, "2027").is_empty());
            running.signal(Signal::KILL);
            drop(running);
            running = job().start();
        }
    }
    // A window closes when both files have passed it: the last ones wait for more.
    let passed = "2026-11-01T16:15:00";
    let closed: Vec<String> =
        counted(&logs).into_iter().filter(|line| &line[25..] < passed).collect();
    assert!(closed.len() > 500);
    running.wait("all windows that are passed", |_| published(&out, passed).len() >= closed.len());
    running.signal(Signal::TERM);
    let done = running.end().code(0);
    assert_eq!(done.summary()["late"], 0);
    assert_eq!(published(&out, passed), closed);
}

/// Rows whose windows end before a time, sorted.
fn published(out: &Path, before: &str) -> Vec<String> {
    let read = Published::so_far(out);
    let rows = read.lines().into_iter().filter(|row| row.len() > 25 && &row[25..] < before);
    let mut rows: Vec<String> =
        rows.filter(|row| !row.starts_with("window")).map(str::to_owned).collect();
    rows.sort_unstable();
    rows
}

/// Visits of an access log by host, as a few lines of Python find them: sorted lines of the columns that the job writes.
fn visits(dir: &Path) -> Vec<String> {
    let script = r#"cat *.log | python3 -c '
import datetime, re, sys
hosts = {}
for line in sys.stdin:
    host, date, sent = re.match(r"(\S+) - - \[(.*?)\] \".*?\" \d+ (\d+)", line).groups()
    at = datetime.datetime.strptime(date, "%d/%b/%Y:%H:%M:%S %z")
    hosts.setdefault(host, []).append((at, int(sent)))
gap = datetime.timedelta(minutes=5)
def show(date):
    return date.strftime("%Y-%m-%dT%H:%M:%S.000Z")
for host, requests in hosts.items():
    requests.sort()
    visit = []
    for request in requests + [None]:
        if visit and (request is None or request[0] - visit[-1][0] >= gap):
            start, last = visit[0][0], visit[-1][0]
            sent = sum(sent for _, sent in visit)
            print(show(start), show(last + gap), host, len(visit), sent, int((last - start).total_seconds()), sep=",")
            visit = []
        if request:
            visit.append(request)
' | LC_ALL=C sort"#;
    shell(dir, script).lines().map(str::to_owned).collect()
}

#[test]
fn sessions_are_what_python_finds_in_whatever_batches_the_log_is_read() {
    let dir = tempfile::tempdir().expect("a directory");
    let logs = dir.path().join("logs");
    fs::create_dir(&logs).expect("there is room");
    // Seven hosts, each of which is there every ten minutes or so.
    fs::write(logs.join("a.log"), log(500, 600, 3).concat()).expect("there is room");
    let expected = visits(&logs);
    assert!(expected.len() > 100, "{}", expected.len());
    for (n, options) in ["", "?batch_records=17", "?batch_records=211"].into_iter().enumerate() {
        for workers in ["0", "3"] {
            let out = dir.path().join(format!("out-{n}-{workers}"));
            let source = format!("file://{}/*.log{options}", logs.display());
            let job = Job::example("sessions").source("lines", source);
            let job = job.files("visits", "csv", &out).args(["--workers", workers]);
            let done = job.args(["--summary", "json"]).run().code(0);
            assert_eq!(done.summary()["late"], 0);
            let published = Published::read(&out);
            let mut lines = published.lines();
            lines.sort_unstable();
            assert_eq!(lines, expected, "{options}, {workers} workers");
        }
    }
}
