//! Hostile input, per format and kind of source, judged by Python's `csv` and `json`.
//!
//! A job prints what it reads. Each input is a file, a connection or a request; its records and dead letters
//! must be those that Python finds, or those of the table where Python fails or guesses. Random inputs are
//! added.

mod cases;

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use self::cases::{Case, Right};
use crate::job::{Ended, Job, Running};
use crate::text::Random;

/// Longest wait for an answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

const FORMATS: [(&str, &str, &str); 3] =
    [("text", "lines", "text"), ("csv", "rows", "csv"), ("json", "values", "json")];

/// Records as sorted texts, and the number of dead letters.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Got {
    records: Vec<String>,
    dead: u64,
}

impl Got {
    fn add(&mut self, other: &Self) {
        self.records.extend(other.records.iter().cloned());
        self.dead += other.dead;
    }

    fn sorted(mut self) -> Self {
        self.records.sort_unstable();
        self
    }

    fn total(&self) -> usize {
        self.records.len() + usize::try_from(self.dead).expect("few")
    }
}

/// The inputs of a format with the expected results.
struct Inputs {
    dir: tempfile::TempDir,
    all: BTreeMap<String, (Vec<u8>, Got, bool)>,
}

impl Inputs {
    fn path(&self, format: &str) -> PathBuf {
        self.dir.path().join(format)
    }

    /// The expected result of the inputs that satisfy a condition.
    fn right(&self, which: impl Fn(&str, bool) -> bool) -> Got {
        let mut right = Got::default();
        for (name, (_, read, followed)) in &self.all {
            if which(name, *followed) {
                right.add(read);
            }
        }
        right.sorted()
    }
}

fn reference(args: &[&str]) -> String {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/end_to_end/hostile_formats/reference.py");
    let output = Command::new("python3").arg(script).args(args).output().expect("there is Python");
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {err}");
    String::from_utf8(output.stdout).expect("it writes JSON")
}

/// A float in a comparable form.
fn number(text: &str) -> String {
    format!("{:?}", text.parse::<f64>().unwrap_or_else(|_| panic!("{text:?} is no number")))
}

fn entry([name, note, n]: [&str; 3]) -> String {
    format!("{name:?} {note:?} {}", number(n))
}

/// A record as printed by Python.
fn told(record: &Value) -> String {
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    match record.as_array() {
        Some(parts) => entry([&text(&parts[0]), &text(&parts[1]), &text(&parts[2])]),
        None => format!("{:?}", text(record)),
    }
}

/// All inputs of a format.
fn inputs(format: &str) -> Inputs {
    let dir = tempfile::tempdir().expect("a directory");
    FORMATS.iter().for_each(|(name, ..)| fs::create_dir(dir.path().join(name)).expect("room"));
    let seed = std::env::var("DSTREAM_HOSTILE_SEED").unwrap_or_else(|_| "1".to_owned());
    reference(&["make", &dir.path().display().to_string(), &seed]);
    let cases = match format {
        "text" => cases::text(),
        "csv" => cases::csv(),
        _ => cases::json(),
    };
    let path = dir.path().join(format);
    for Case { name, bytes, .. } in &cases {
        fs::write(path.join(name), bytes).expect("there is room");
    }
    let mut all = BTreeMap::new();
    for line in reference(&["read", format, &path.display().to_string()]).lines() {
        let read: Value = serde_json::from_str(line).expect("JSON");
        let name = read["file"].as_str().expect("named").to_owned();
        let bytes = fs::read(path.join(&name)).expect("it is there");
        let case = cases.iter().find(|case| case.name == name);
        let read = match case.map(|case| &case.right) {
            None | Some(Right::Python) => {
                let dead = read["dead"].as_u64();
                let dead = dead.unwrap_or_else(|| panic!("{name}: Python: {}", read["dead"]));
                let records = read["records"].as_array().expect("a list").iter().map(told);
                Got { records: records.collect(), dead }
            }
            Some(Right::Is(records, dead)) => {
                Got { records: records.iter().map(|record| entry(*record)).collect(), dead: *dead }
            }
            Some(Right::Lines(lines, dead)) => {
                Got { records: lines.iter().map(|line| format!("{line:?}")).collect(), dead: *dead }
            }
        };
        // Nothing in a followed file is complete before its line end.
        let followed =
            case.map_or(format != "json" && bytes.ends_with(b"\n"), |case| case.followed);
        all.insert(name, (bytes, read, followed));
    }
    Inputs { dir, all }
}

/// A job that prints what it reads in a format.
fn echo(format: &str, url: &str) -> Job {
    let (_, source, output) =
        FORMATS.iter().find(|(name, ..)| *name == format).expect("one of them");
    let job = Job::example("echo").source(source, url);
    let job = job.sink(output, "json+stdout:?floats=string");
    let job = job.sink(&format!("{source}.dead"), "json+stdout:");
    job.args(["--log", "json", "--summary", "json"])
}

/// The address of the only listening source.
fn address(job: &mut Running) -> SocketAddr {
    let start = job.event("start");
    let mut addresses = start["addresses"].as_array().expect("a list").iter();
    let address = addresses.find_map(Value::as_str).expect("one listens");
    address.parse().expect("it is an address")
}

/// Parses a job's output.
fn put_out(lines: &[String]) -> Got {
    let mut read = Got::default();
    for line in lines {
        let value: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        match &value {
            Value::String(text) => read.records.push(format!("{text:?}")),
            value if value.get("reason").is_some() => read.dead += 1,
            value => {
                let text = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
                let n = match &value["n"] {
                    Value::String(n) => n.clone(),
                    n => n.to_string(),
                };
                read.records.push(entry([&text("name"), &text("note"), &n]));
            }
        }
    }
    read.sorted()
}

/// Checks the output of an ended job, and its summary.
#[track_caller]
fn check(done: &Ended, right: &Got, what: &str) {
    let read = put_out(&done.out[..done.out.len() - 1]);
    let missing: Vec<_> =
        right.records.iter().filter(|r| !read.records.contains(r)).take(5).collect();
    let made_up: Vec<_> =
        read.records.iter().filter(|r| !right.records.contains(r)).take(5).collect();
    assert!(
        missing.is_empty() && made_up.is_empty(),
        "{what}: missing {missing:#?}, made up {made_up:#?}"
    );
    let counts = (read.records.len(), read.dead);
    assert_eq!(counts, (right.records.len(), right.dead), "{what}: {}", done.said());
    assert!(read == *right, "{what}");
    let sources = done.summary()["sources"].as_array().expect("a list").clone();
    let dead: u64 = sources.iter().filter_map(|source| source["dead_letters"].as_u64()).sum();
    assert_eq!(dead, right.dead, "{what}: {}", done.said());
}

#[test]
fn files() {
    for (format, ..) in FORMATS {
        let inputs = inputs(format);
        let path = inputs.path(format);
        // If they are wrong together, run them one by one to find out which.
        for (name, (_, read, _)) in
            inputs.all.iter().filter(|(name, _)| !name.starts_with("random"))
        {
            let done = echo(format, &path.join(name).display().to_string()).run().code(0);
            check(&done, &read.clone().sorted(), &format!("{format} {name}"));
        }
        let right = inputs.right(|_, _| true);
        for options in ["", "?split=16&batch=300", "?batch_records=3&split=40", "?split=1"] {
            let done = echo(format, &format!("{}{options}", path.display())).run().code(0);
            check(&done, &right, &format!("{format}{options}"));
        }
    }
}

/// Splits bytes at random.
fn pieces<'b>(bytes: &'b [u8], random: &mut Random) -> Vec<&'b [u8]> {
    let (mut rest, mut pieces) = (bytes, Vec::new());
    // Large inputs get few pieces.
    let most = 40 + bytes.len() as u64 / 20;
    while !rest.is_empty() {
        let size = usize::try_from(1 + random.below(most)).expect("small").min(rest.len());
        pieces.push(&rest[..size]);
        rest = &rest[size..];
    }
    pieces
}

/// Waits for that much output, stops the job and checks it.
fn stop_and_check(mut job: Running, right: &Got, what: &str) {
    let total = right.total();
    job.wait(&format!("{total} records of {what}"), |job| job.out.len() >= total);
    job.signal(Signal::TERM);
    check(&job.end().code(0), right, what);
}

#[test]
fn followed_files() {
    let mut random = Random(3);
    for (format, ..) in FORMATS {
        let inputs = inputs(format);
        let dir = inputs.dir.path().join("followed");
        fs::create_dir(&dir).expect("there is room");
        let job = echo(format, &format!("{}?follow", dir.display())).start();
        let followed = inputs.all.iter().filter(|(_, (.., followed))| *followed);
        for (name, (bytes, ..)) in followed {
            let mut file = fs::File::create(dir.join(name)).expect("there is room");
            for piece in pieces(bytes, &mut random) {
                file.write_all(piece).expect("there is room");
            }
        }
        stop_and_check(job, &inputs.right(|_, followed| followed), &format!("followed {format}"));
    }
}

#[test]
fn connections() {
    let mut random = Random(4);
    for (format, ..) in FORMATS {
        let inputs = inputs(format);
        let mut job = echo(format, "tcp://127.0.0.1:0").start();
        let address = address(&mut job);
        for (bytes, ..) in inputs.all.values() {
            let mut stream = TcpStream::connect(address).expect("it listens");
            stream.set_nodelay(true).expect("it is a socket");
            for piece in pieces(bytes, &mut random) {
                stream.write_all(piece).expect("it receives");
            }
            stream.shutdown(Shutdown::Write).expect("it is open");
        }
        stop_and_check(job, &inputs.right(|_, _| true), &format!("tcp {format}"));
    }
}

/// Posts a body; returns status and body of the response.
fn post(address: SocketAddr, body: &[u8]) -> (String, String) {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("it is a socket");
    let head = format!(
        "POST /in HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).expect("it receives");
    stream.write_all(body).expect("it receives");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer");
    (head.lines().next().unwrap_or_default().to_owned(), body.to_owned())
}

#[test]
fn requests() {
    for (format, ..) in FORMATS {
        let inputs = inputs(format);
        let mut job = echo(format, "http://127.0.0.1:0/in").start();
        let address = address(&mut job);
        for (name, (bytes, right, _)) in &inputs.all {
            let (status, body) = post(address, bytes);
            let (good, dead) = (right.records.len() as u64, right.dead);
            let all = if dead == 0 { " 200 " } else { " 207 " };
            assert!(status.contains(all), "{format} {name}: {status} {body}");
            let said: Value = serde_json::from_str(&body).expect("JSON");
            let refused = said["refused_total"].as_u64().unwrap_or_default();
            let said = (said["accepted"].as_u64(), refused);
            assert_eq!(said, (Some(good), dead), "{format} {name}: {body}");
        }
        stop_and_check(job, &inputs.right(|_, _| true), &format!("http {format}"));
    }
}

mod headers;
mod round_trip;

/// A directory with files.
fn dir_with(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    files.iter().for_each(|(name, text)| write(&dir.path().join(name), text));
    dir
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).expect("there is room");
}
