//! Every input record is processed once or becomes a dead letter, and the summary says so: for each input
//! and format, in one process and on workers, after a panic, a failure and a restart. The input is counted
//! by `wc` and `grep`.

use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use rustix::process::Signal;
use serde_json::Value;

use crate::job::{Ended, Job, Running, listens_at, shell};
use crate::published::Published;

/// Records per input.
const RECORDS: usize = 2000;

/// The job of `tests/jobs/audit.rs` for a format, and the format's records.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Format {
    Text,
    Csv,
    Json,
}

impl Format {
    const ALL: [Self; 3] = [Self::Text, Self::Csv, Self::Json];

    fn job(self) -> &'static str {
        match self {
            Self::Text => "texts",
            Self::Csv => "rows",
            Self::Json => "objects",
        }
    }

    fn header(self) -> &'static [u8] {
        if self == Self::Csv { b"key,n\n" } else { b"" }
    }

    /// Lines, of which those with `BAD` cannot be processed: some do not parse, others make a function
    /// panic. The last one is good, so once it has arrived, all others have.
    fn lines(self, records: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        for n in 0..records {
            let kind = if n + 1 == records { 0 } else { n % 17 };
            let good = n + 100;
            let line: Vec<u8> = match (self, kind) {
                (Self::Text, 5) => b"BAD \xff\xfe".to_vec(),
                (Self::Text, 9) => b"BAD 13".to_vec(),
                // Empty lines are records of text only.
                (_, 11) => Vec::new(),
                (Self::Text, _) => format!("line {good}").into(),
                (Self::Csv, 5) => b"BAD,x".to_vec(),
                (Self::Csv, 7) => b"BAD".to_vec(),
                (Self::Csv, 9) => b"BAD,13".to_vec(),
                (Self::Csv, 3) => format!("\"a \"\"key\"\", {n}\",{good}\r").into(),
                (Self::Csv, _) => format!("key{n},{good}").into(),
                (Self::Json, 5) => b"{\"key\":\"BAD\",\"n\":\"x\"}".to_vec(),
                (Self::Json, 7) => b"{\"key\":\"BAD\",\"n\"".to_vec(),
                (Self::Json, 9) => b"{\"key\":\"BAD\",\"n\":13}".to_vec(),
                (Self::Json, _) => format!("{{\"n\":{good},\"key\":\"k{n}\"}}").into(),
            };
            bytes.extend(line);
            bytes.push(b'\n');
        }
        bytes
    }
}

/// The content of an input, as counted by `wc` and `grep`.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Found {
    read: u64,
    bad: u64,
}

impl Found {
    /// Counts the lines of a file without its header.
    fn in_file(format: Format, path: &Path) -> Self {
        let path = path.display();
        let count = match format {
            Format::Text => format!("wc -l < '{path}'"),
            // Without `\r`, which a blank line may contain.
            Format::Csv | Format::Json => format!("tr -d '\\r' < '{path}' | grep -ac ."),
        };
        let number = |script: &str| shell(Path::new("/"), script).trim().parse().expect("a number");
        let bad = number(&format!("grep -ac BAD '{path}' || true"));
        Self { read: number(&count), bad }
    }

    fn good(self) -> u64 {
        self.read - self.bad
    }
}

/// The lines of a format without header, in a file in its own directory.
struct Input {
    dir: tempfile::TempDir,
    format: Format,
    lines: Vec<u8>,
    found: Found,
}

impl Input {
    fn new(format: Format) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let lines = format.lines(RECORDS);
        let path = dir.path().join("lines");
        fs::write(&path, &lines).expect("there is room");
        let found = Found::in_file(format, &path);
        assert!(found.bad > 100 && found.good() > 1000, "{found:?}");
        Self { dir, format, lines, found }
    }

    /// A file with a header and these lines.
    fn file(&self, name: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::create_dir_all(path.parent().expect("it has one")).expect("there is room");
        fs::write(&path, [self.format.header(), &self.lines].concat()).expect("there is room");
        path
    }

    fn job(&self, url: &str, workers: &str) -> Job {
        let join = if url.contains('?') { '&' } else { '?' };
        let job = Job::example("audit").current_dir(self.dir.path());
        let job = job.args(["--job", self.format.job(), "--workers", workers]);
        let job = job.source("events", format_args!("{url}{join}on_panic=dead_letter"));
        job.args(["--log", "json", "--summary", "json"])
    }
}

/// Checks that a summary reports `found`, `times` times.
#[track_caller]
fn assert_adds_up(done: &Ended, found: Found, times: u64) {
    let summary = done.summary();
    let source = &summary["sources"][0];
    for counts in [source, &summary] {
        let count =
            |name: &str| counts[name].as_u64().unwrap_or_else(|| panic!("{name}: {counts}"));
        let (read, records, dead) = (count("read"), count("records"), count("dead_letters"));
        let expected = (found.read * times, found.good() * times, found.bad * times);
        assert_eq!((read, records, dead), expected, "{}", done.said());
        assert_eq!(read, records + dead);
    }
    assert_eq!(summary["outputs"][0]["records"], found.good() * times, "{}", done.said());
}

const IN_ONE_AND_MANY: [&str; 2] = ["0", "2"];

#[test]
fn of_files() {
    for format in Format::ALL {
        let input = Input::new(format);
        let plain = input.file("one/events");
        fs::create_dir(input.dir.path().join("many")).expect("there is room");
        for name in ["many/a.txt", "many/b.txt"] {
            fs::copy(&plain, input.dir.path().join(name)).expect("there is room");
        }
        let mut gz = GzEncoder::new(Vec::new(), Compression::default());
        gz.write_all(&fs::read(&plain).expect("it is there")).expect("memory takes it");
        let gz = gz.finish().expect("memory takes it");
        fs::write(input.dir.path().join("events.gz"), gz).expect("there is room");
        for workers in IN_ONE_AND_MANY {
            for (url, times) in [
                ("one/events", 1),
                ("one/events?batch_records=300&split=4KiB", 1),
                ("many/*.txt?batch=30KiB", 2),
                ("many", 2),
                ("events.gz?batch_records=700", 1),
            ] {
                let done = input.job(url, workers).run().code(0);
                assert_adds_up(&done, input.found, times);
            }
        }
    }
}

#[test]
fn of_generators() {
    for (format, made) in [(Format::Text, "words"), (Format::Json, "page_views")] {
        let input = Input::new(format);
        let url = format!("generate://{made}?records=5000&batch_records=900");
        if format == Format::Json {
            // Not the job's fields: all are dead letters, which is a failure.
            let done = input.job(&url, "0").run().code(1);
            assert_eq!(done.summary()["sources"][0]["read"], 5000);
            assert_eq!(done.summary()["sources"][0]["dead_letters"], 5000);
            continue;
        }
        for workers in IN_ONE_AND_MANY {
            let done = input.job(&url, workers).run().code(0);
            assert_adds_up(&done, Found { read: 5000, bad: 0 }, 1);
        }
    }
}

/// Waits for a number of processed records, and stops the job.
fn stop_after(mut job: Running, good: u64) -> Ended {
    job.wait("all that was sent", |job| {
        let records = job.events("batch").filter_map(|event| event["records"].as_u64());
        records.sum::<u64>() >= good
    });
    job.signal(Signal::TERM);
    job.end().code(0)
}

#[test]
fn of_followed_files() {
    for format in Format::ALL {
        for workers in IN_ONE_AND_MANY {
            let input = Input::new(format);
            let file = input.file("logs/1.log");
            let mut job = input.job("logs?follow", workers).start();
            job.event("batch");
            let mut grown = OpenOptions::new().append(true).open(file).expect("it is ours");
            grown.write_all(&input.lines).expect("there is room");
            input.file("logs/2.log");
            assert_adds_up(&stop_after(job, 3 * input.found.good()), input.found, 3);
        }
    }
}

/// The address of a job's receiver.
fn address(job: &mut Running, workers: &str) -> SocketAddr {
    if workers == "0" {
        return job.address();
    }
    listens_at(&job.event("receiving"))
}

#[test]
fn of_tcp() {
    for format in Format::ALL {
        for workers in IN_ONE_AND_MANY {
            let input = Input::new(format);
            let mut job = input.job("tcp://127.0.0.1:0", workers).start();
            let mut stream = TcpStream::connect(address(&mut job, workers)).expect("it listens");
            stream.write_all(format.header()).expect("it receives");
            stream.write_all(&input.lines).expect("it receives");
            drop(stream);
            assert_adds_up(&stop_after(job, input.found.good()), input.found, 1);
        }
    }
}

fn post(addr: SocketAddr, body: &[u8]) {
    let mut stream = TcpStream::connect(addr).expect("it listens");
    let len = body.len();
    let head = format!("POST /in HTTP/1.1\r\nHost: {addr}\r\nContent-Length: {len}\r\n");
    let head = format!("{head}Connection: close\r\n\r\n");
    stream.write_all(&[head.as_bytes(), body].concat()).expect("it receives");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    // Some records are refused, as the response says.
    let taken = ["HTTP/1.1 200", "HTTP/1.1 207"].iter().any(|status| answer.starts_with(status));
    assert!(taken, "{answer}");
}

#[test]
fn of_http() {
    for format in Format::ALL {
        for workers in IN_ONE_AND_MANY {
            let input = Input::new(format);
            let mut job = input.job("http://127.0.0.1:0/in", workers).start();
            let addr = address(&mut job, workers);
            for _ in 0..2 {
                post(addr, &[format.header(), &input.lines].concat());
            }
            assert_adds_up(&stop_after(job, 2 * input.found.good()), input.found, 2);
        }
    }
}

#[test]
fn of_the_client_library() {
    for format in Format::ALL {
        let input = Input::new(format);
        let file = input.file("events");
        let mut job = input.job("tcp://127.0.0.1:0", "2").start();
        address(&mut job, "2");
        let state = job.event("listening")["state"].as_str().expect("it has one").to_owned();
        let send =
            Job::example("audit").args(["--job", format.job(), "send", "--stream", "events"]);
        let file = file.display().to_string();
        send.args([file.as_str(), "--state", &state]).run().code(0);
        assert_adds_up(&stop_after(job, input.found.good()), input.found, 1);
    }
}

#[test]
fn of_a_job_that_goes_on_from_its_journal() {
    for format in Format::ALL {
        let input = Input::new(format);
        let file = input.file("logs/1.log");
        let job = || {
            let job =
                input.job("logs?follow", "2").files("taken", "json", &input.dir.path().join("out"));
            job.args(["--checkpoint", "50ms", "--state", "state"])
        };
        let first = stop_after(job().start(), input.found.good());
        assert_adds_up(&first, input.found, 1);
        assert_eq!(first.summary()["first_batch"], 1);
        let mut grown = OpenOptions::new().append(true).open(file).expect("it is ours");
        grown.write_all(&input.lines).expect("there is room");
        // Counters start anew in each process.
        let second = stop_after(job().start(), input.found.good());
        assert_adds_up(&second, input.found, 1);
        let from = second.summary()["first_batch"].as_u64();
        assert_eq!(from, first.summary()["batches"].as_u64().map(|batches| batches + 1));
        let published = Published::read(&input.dir.path().join("out"));
        assert_eq!(published.lines().len() as u64, 2 * input.found.good());
    }
}

#[test]
fn of_a_job_that_fails() {
    let dir = tempfile::tempdir().expect("a directory");
    let lines: String =
        (0..1000).map(|n| format!("line {}\n", if n == 750 { 13 } else { n + 100 })).collect();
    fs::write(dir.path().join("lines.txt"), lines).expect("there is room");
    for workers in IN_ONE_AND_MANY {
        let out = dir.path().join(workers);
        let job = Job::example("audit").args(["--job", "texts", "--workers", workers]);
        let job = job
            .source("events", format_args!("{}/lines.txt?batch_records=100", dir.path().display()));
        let done = job.files("taken", "text", &out).args(["--summary", "json"]).run().code(1);
        let summary = done.summary();
        // Only what was published before the failed batch.
        assert_eq!(summary["outcome"], "failed", "{}", done.said());
        let published = Published::read(&out).lines().len();
        assert_eq!(summary["read"], published, "{}", done.said());
        assert_eq!(
            (&summary["records"], &summary["outputs"][0]["records"]),
            (&summary["read"], &summary["read"])
        );
        assert_eq!(published, 700);
    }
}

#[test]
fn of_which_nothing_could_be_processed() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("rows.csv"), "key,n\na,1\nb,2\n").expect("there is room");
    fs::write(dir.path().join("empty"), "").expect("there is room");
    fs::write(dir.path().join("one.json"), "{\"key\":\"a\",\"n\":1}\nno\n").expect("room");
    fs::write(dir.path().join("latin1.txt"), b"\xe4\n\xf6\n").expect("there is room");
    let job = |name: &str, url: &str, workers: &str| {
        let job = Job::example("audit").current_dir(dir.path()).args(["--job", name]);
        job.source("events", url).args(["--workers", workers])
    };
    for workers in IN_ONE_AND_MANY {
        let done = job("objects", "rows.csv", workers).run().code(1).says(&[
            "3 records read",
            "= 0 processed + 3 set aside",
            "source `events`: all records that were read (3) were set aside",
            "rows.csv:0: ",
            "is this the format",
        ]);
        assert!(done.out.is_empty(), "{}", done.said());
        job("texts", "latin1.txt?batch_records=1", workers).run().code(1).says(&["latin1.txt:0"]);
        job("objects", "empty", workers).run().code(0).says(&["0 records read"]);
        job("objects", "one.json", workers).run().code(0).says(&["2 records read"]);
    }
    // A live job reports it when it is stopped.
    let mut live = job("objects", "tcp://127.0.0.1:0", "0").args(["--log", "json"]).start();
    let mut stream = TcpStream::connect(live.address()).expect("it listens");
    stream.write_all(b"no\n").expect("it receives");
    live.event("dead_letter");
    live.signal(Signal::TERM);
    live.end().code(1).says(&["all records that were read (1) were set aside"]);
}

#[test]
fn of_a_job_whose_reader_goes() {
    let job = Job::example("audit").args(["--job", "texts"]).sink("taken", "csv+stdout:").unread();
    let mut job =
        job.source("events", "generate://words?records=100000000&batch_records=5000").start();
    drop(job.take_stdout());
    let done = job.end().code(0);
    let said =
        done.err.iter().any(|line| line.contains("records read") && line.contains("set aside"));
    assert!(said, "{}", done.said());
}

#[test]
fn written_and_counted_dead_letters_are_distinguished() {
    let dir = tempfile::tempdir().expect("a directory");
    let lines: String =
        (0..3000).map(|n| if n == 0 { "{\"key\":\"a\",\"n\":1}\n" } else { "no\n" }).collect();
    fs::write(dir.path().join("lines.json"), lines).expect("there is room");
    let job = Job::example("audit").current_dir(dir.path()).args(["--job", "objects"]);
    let job =
        job.source("events", "lines.json").files("events.dead", "json", &dir.path().join("dead"));
    let done = job.args(["--summary", "json"]).run().code(0);
    let summary: Value = done.summary();
    assert_eq!(summary["sources"][0]["dead_letters"], 2999);
    let written = Published::read(&dir.path().join("dead")).lines().len();
    let dead = &summary["outputs"][1];
    assert_eq!((&dead["name"], &dead["records"]), (&"events.dead".into(), &written.into()));
}
