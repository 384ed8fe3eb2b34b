//! Processes of a cluster started one by one, and a job that waits for the test.

use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ChildStdout;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::job::{Ended, Job, Running, deadline, readable};

/// Any port on loopback.
pub(super) const ANY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// A port of this host that is free now.
pub(super) fn free_port() -> SocketAddr {
    let listener = TcpListener::bind(ANY).expect("there are ports");
    listener.local_addr().expect("it listens")
}

/// The state of a cluster whose job a test runs.
pub(super) struct Cluster {
    job: &'static str,
    dir: TempDir,
}

impl Cluster {
    pub(super) fn new(job: &'static str) -> Self {
        Self { job, dir: tempfile::tempdir().expect("a directory") }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The master's state directory.
    pub(super) fn state(&self) -> PathBuf {
        self.path("state")
    }

    /// The worker token made by the master.
    pub(super) fn token(&self) -> PathBuf {
        self.state().join("worker.token")
    }

    /// A master that waits for that many workers and logs in JSON.
    pub(super) fn master(&self, workers: u32) -> Job {
        self.master_at(ANY, workers)
    }

    pub(super) fn master_at(&self, at: SocketAddr, workers: u32) -> Job {
        self.as_master(Job::example(self.job), at, workers)
    }

    /// The job's binary as a master, started in any way.
    pub(super) fn as_master(&self, job: Job, at: SocketAddr, workers: u32) -> Job {
        let job = job.args(["--role", "master", "--log", "json", "--listen", &at.to_string()]);
        let job = job.args(["--workers", &workers.to_string()]);
        job.args(["--state".as_ref(), self.state().as_os_str()])
    }

    /// A worker with the master's token, which logs in JSON.
    pub(super) fn worker(&self, name: &str, master: SocketAddr) -> Job {
        self.stranger(name, master).args(["--token-file".as_ref(), self.token().as_os_str()])
    }

    /// Starts workers with these names.
    pub(super) fn crew(&self, names: &[&str], master: SocketAddr) -> Vec<Running> {
        names.iter().map(|name| self.worker(name, master).start()).collect()
    }

    /// A worker without a token.
    pub(super) fn stranger(&self, name: &str, master: SocketAddr) -> Job {
        self.as_stranger(Job::example(self.job), &format!("of-{name}"), name, master)
    }

    /// The job's binary as a worker without a token, which stores its certificate in that directory.
    pub(super) fn as_stranger(&self, job: Job, state: &str, name: &str, master: SocketAddr) -> Job {
        let job = job.args(["--role", "worker", "--log", "json"]);
        let job = job.args(["--name", name, "--master", &master.to_string()]);
        // Its own state directory: only workers on the master's host could use the master's.
        job.args(["--state".as_ref(), self.path(state).as_os_str()])
    }

    /// Runs `JOB SUBCOMMAND …` beside the master.
    pub(super) fn ask(&self, question: &[&str]) -> Ended {
        self.ask_by(Job::example(self.job), question)
    }

    /// The job's binary as a client, started in any way.
    pub(super) fn ask_by(&self, job: Job, question: &[&str]) -> Ended {
        job.args(question).args(["--state".as_ref(), self.state().as_os_str()]).run()
    }

    /// The output of `JOB status --json`.
    pub(super) fn status(&self) -> Value {
        self.status_by(Job::example(self.job))
    }

    pub(super) fn status_by(&self, job: Job) -> Value {
        let done = self.ask_by(job, &["status", "--json"]).code(0);
        serde_json::from_str(&done.out.concat()).expect("it is JSON")
    }

    /// Asks for the status until a condition holds.
    pub(super) fn status_with(&self, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let status = self.status();
            if holds(&status) {
                return status;
            }
            assert!(Instant::now() < deadline, "deadline while waiting for {what}: {status}");
        }
    }
}

/// Waits for the end of processes that are about to end.
#[track_caller]
pub(super) fn all_end(crew: impl IntoIterator<Item = Running>) -> Vec<Ended> {
    crew.into_iter().map(|process| process.end().code(0)).collect()
}

/// The number of a worker's partitions, if the status lists it.
pub(super) fn partitions(status: &Value, name: &str) -> Option<u64> {
    let workers = status["workers"].as_array()?;
    workers.iter().find(|worker| worker["name"] == name)?["partitions"].as_u64()
}

impl Running {
    /// The master's address.
    pub(super) fn listening(&mut self) -> SocketAddr {
        let event = self.event("listening");
        event["address"].as_str().and_then(|addr| addr.parse().ok()).expect("it is an address")
    }

    /// The first event of a name in a log in JSON that is as the test expects.
    pub(super) fn event_with(&mut self, name: &str, holds: impl Fn(&Value) -> bool) -> Value {
        self.wait(name, |job| job.events(name).any(&holds));
        self.events(name).find(|event| holds(event)).expect("it was just there").clone()
    }

    /// Waits until it has joined as a worker and been placed `times` times.
    pub(super) fn placed(&mut self, times: usize) -> Value {
        self.wait("a placement", |job| job.events("placed").count() >= times);
        self.events("placed").nth(times - 1).expect("it was just there").clone()
    }
}

/// Standard output of a job that is read by a test as far as the test wants: a job whose output is not
/// read comes to a halt soon, with batches in flight.
pub(super) struct Tap {
    from: BufReader<ChildStdout>,
    /// Until when the job must have written what is to be read.
    deadline: Instant,
    /// What has been read.
    pub(super) lines: Vec<String>,
}

impl Tap {
    pub(super) fn on(job: &mut Running) -> Self {
        let from = BufReader::new(job.take_stdout());
        Self { from, deadline: deadline(), lines: Vec::new() }
    }

    /// Reads that many more lines.
    pub(super) fn read(&mut self, lines: usize) {
        for _ in 0..lines {
            assert!(self.line(), "it ends after {} lines", self.lines.len());
        }
    }

    /// Reads to the end.
    pub(super) fn read_all(&mut self) {
        while self.line() {}
    }

    fn line(&mut self) -> bool {
        if self.from.buffer().is_empty() {
            let left = self.deadline.saturating_duration_since(Instant::now());
            let lines = self.lines.len();
            assert!(readable(self.from.get_ref(), left), "deadline after {lines} lines");
        }
        let mut line = String::new();
        let read = self.from.read_line(&mut line).expect("it writes text");
        self.lines.push(line.trim_end_matches('\n').to_owned());
        if read == 0 {
            self.lines.pop();
        }
        read > 0
    }
}

/// A job over generated history with state in all its partitions, which puts out several times what a
/// pipe holds.
pub(super) const VIEWS: &str = "generate://page_views?records=60000&batch_records=1000";

/// `page_views` over [`VIEWS`] to its standard output.
pub(super) fn of_views(job: Job) -> Job {
    job.source("views", VIEWS).sink("counts", "csv+stdout:?header=false")
}

/// What [`of_views`] puts out on one process.
pub(super) fn views_expected() -> Vec<String> {
    let lines = of_views(Job::example("page_views")).run().code(0).out;
    assert!(lines.len() > 20_000, "it would come to a halt: {} lines", lines.len());
    lines
}

/// Checks lines without printing them all.
#[track_caller]
pub(super) fn assert_same_lines(found: &[String], expected: &[String]) {
    let pairs = found.iter().zip(expected);
    if let Some(line) = pairs.clone().position(|(found, expected)| found != expected) {
        panic!("line {line} is {:?}, not {:?}", found[line], expected[line]);
    }
    assert_eq!(found.len(), expected.len(), "number of lines");
}

/// A file of a test's directory that only its owner can read.
pub(super) fn private(path: &Path, text: &str) {
    use std::os::unix::fs::OpenOptionsExt;
    let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    std::io::Write::write_all(&mut file.expect("there is room"), text.as_bytes())
        .expect("there is room");
}
