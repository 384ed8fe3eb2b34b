//! The process of a job: started, watched line by line, stopped, and always reaped.
//!
//! It is identified by a pidfd, so that signals cannot reach another process, and the wait for its end has a
//! deadline.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde_json::Value;

/// The deadline of everything that a test asks of a job.
pub(crate) fn deadline() -> Instant {
    let seconds = std::env::var("DSTREAM_TEST_SECONDS").ok().and_then(|text| text.parse().ok());
    Instant::now() + Duration::from_secs(seconds.unwrap_or(120))
}

/// The directory of cargo's profile.
pub(crate) fn profile_dir() -> PathBuf {
    let test = std::env::current_exe().expect("the test binary has a path");
    test.ancestors().nth(2).expect("it is in PROFILE/deps").to_owned()
}

/// The path of an example's binary.
pub(crate) fn binary(name: &str) -> PathBuf {
    let path = profile_dir().join("examples").join(name);
    assert!(path.exists(), "{} is not there: run `cargo build --examples`", path.display());
    path
}

/// A job that has not started.
pub(crate) struct Job {
    command: Command,
    piped: bool,
}

impl Job {
    pub(crate) fn example(name: &str) -> Self {
        Self::of(Command::new(binary(name)))
    }

    /// A command that ends by running a job, such as `setpriv … JOB`.
    pub(crate) fn of(command: Command) -> Self {
        Self { command, piped: true }
    }

    pub(crate) fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.command.args(args);
        self
    }

    /// `--source NAME=URL`
    pub(crate) fn source(self, name: &str, url: impl std::fmt::Display) -> Self {
        self.args(["--source".to_owned(), format!("{name}={url}")])
    }

    /// `--sink NAME=URL`
    pub(crate) fn sink(self, name: &str, url: impl std::fmt::Display) -> Self {
        self.args(["--sink".to_owned(), format!("{name}={url}")])
    }

    /// Adds an output into files below a directory, without syncing.
    pub(crate) fn files(self, name: &str, format: &str, dir: &Path) -> Self {
        // So that every line of a part is a record.
        let header = if format == "csv" { "&header=false" } else { "" };
        self.sink(name, format_args!("{format}+file://{}?fsync=false{header}", dir.display()))
    }

    pub(crate) fn current_dir(mut self, dir: &Path) -> Self {
        self.command.current_dir(dir);
        self
    }

    /// Leaves standard output unread until the test reads it.
    pub(crate) fn unread(mut self) -> Self {
        self.piped = false;
        self
    }

    /// Runs it to its end.
    pub(crate) fn run(self) -> Ended {
        self.start().end()
    }

    pub(crate) fn start(mut self) -> Running {
        let shown = format!("{:?}", self.command);
        self.command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.command.spawn().unwrap_or_else(|error| panic!("{shown}: {error}"));
        let pid = Pid::from_child(&child);
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).expect("the child is not waited for yet");
        let (sender, heard) = channel();
        watch(child.stderr.take().expect("piped"), Heard::Err, sender.clone());
        let (deadline, out, err) = (deadline(), Vec::new(), Vec::new());
        let log = Vec::new();
        let mut job =
            Running { child, pidfd, shown, deadline, heard, sender, open: 1, out, err, log };
        if self.piped {
            job.read_stdout();
        }
        job
    }
}

/// Output of a process.
enum Heard {
    Out(String),
    Err(String),
    Closed,
}

/// Sends the lines of a stream until its end.
fn watch(from: impl Read + Send + 'static, heard: fn(String) -> Heard, to: Sender<Heard>) {
    std::thread::spawn(move || {
        let mut from = BufReader::new(from);
        let mut line = Vec::new();
        while from.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            let text = String::from_utf8_lossy(line.strip_suffix(b"\n").unwrap_or(&line));
            if to.send(heard(text.into_owned())).is_err() {
                return;
            }
            line.clear();
        }
        // The test may have ended.
        let _ = to.send(Heard::Closed);
    });
}

/// A running job, killed on drop.
pub(crate) struct Running {
    child: Child,
    pidfd: OwnedFd,
    shown: String,
    deadline: Instant,
    heard: Receiver<Heard>,
    sender: Sender<Heard>,
    /// Streams not at their end.
    open: usize,
    /// Lines of standard output so far.
    pub(crate) out: Vec<String>,
    /// Lines of standard error so far.
    pub(crate) err: Vec<String>,
    /// The events among them, each parsed once: parsing all of them for every line would be slower than a
    /// job writes them.
    log: Vec<Value>,
}

impl Running {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Reads its standard output from now on.
    pub(crate) fn read_stdout(&mut self) {
        watch(self.take_stdout(), Heard::Out, self.sender.clone());
        self.open += 1;
    }

    pub(crate) fn take_stdout(&mut self) -> ChildStdout {
        self.child.stdout.take().expect("it is unread")
    }

    pub(crate) fn signal(&self, signal: Signal) {
        pidfd_send_signal(&self.pidfd, signal).expect("the job has not been waited for");
    }

    /// Waits until a condition holds.
    pub(crate) fn wait(&mut self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        while !holds(self) {
            assert!(self.open > 0, "ended before {what}: {}", self.said());
            let late = Instant::now() >= self.deadline;
            assert!(!late, "deadline while waiting for {what}: {}", self.said());
            self.hear(what);
            self.catch_up();
        }
    }

    /// Reads what is available, without waiting.
    pub(crate) fn catch_up(&mut self) {
        while let Ok(heard) = self.heard.try_recv() {
            self.take(heard);
        }
    }

    fn hear(&mut self, what: &str) {
        let left = self.deadline.saturating_duration_since(Instant::now());
        match self.heard.recv_timeout(left) {
            Ok(heard) => self.take(heard),
            Err(_) => panic!("deadline while waiting for {what}: {}", self.said()),
        }
    }

    fn take(&mut self, heard: Heard) {
        match heard {
            Heard::Out(line) => self.out.push(line),
            Heard::Err(line) => {
                self.log.extend(serde_json::from_str(&line));
                self.err.push(line);
            }
            Heard::Closed => self.open -= 1,
        }
    }

    /// All events of a name so far, in a JSON log.
    pub(crate) fn events<'j>(&'j self, name: &'j str) -> impl Iterator<Item = &'j Value> {
        self.log.iter().filter(move |event| event["event"] == name)
    }

    /// The first event of a name.
    pub(crate) fn event(&mut self, name: &str) -> Value {
        self.wait(name, |job| job.events(name).next().is_some());
        self.events(name).next().expect("it was just there").clone()
    }

    /// The address of its first source, from a JSON log.
    pub(crate) fn address(&mut self) -> SocketAddr {
        let start = self.event("start");
        let address = start["addresses"][0].as_str().expect("it listens");
        address.parse().expect("it is an address")
    }

    /// Whether it ends within a time; its deadline applies as well.
    pub(crate) fn ends_within(&self, time: Duration) -> bool {
        assert!(Instant::now() < self.deadline, "deadline while it ends: {}", self.said());
        readable(&self.pidfd, time)
    }

    /// Waits for output in its standard output, which the test has taken.
    pub(crate) fn has_written(&self, stdout: &ChildStdout) {
        let left = self.deadline.saturating_duration_since(Instant::now());
        assert!(readable(stdout, left), "deadline while waiting for output: {}", self.said());
    }

    /// Waits for its end.
    pub(crate) fn end(mut self) -> Ended {
        while self.open > 0 {
            self.hear("its end");
        }
        let left = self.deadline.saturating_duration_since(Instant::now());
        let ended = readable(&self.pidfd, left);
        assert!(ended, "deadline while waiting for its end: {}", self.said());
        let status = self.child.wait().expect("it can be waited for");
        let (out, err) = (std::mem::take(&mut self.out), std::mem::take(&mut self.err));
        Ended { shown: std::mem::take(&mut self.shown), status, out, err }
    }

    fn said(&self) -> String {
        said(&self.shown, &self.out, &self.err)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // On a failure, the output of other jobs may tell why.
        if std::thread::panicking() && !self.shown.is_empty() {
            self.catch_up();
            eprintln!("{}", self.said());
        }
        // It may have been reaped already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where a receiver listens, from its event in a JSON log.
pub(crate) fn listens_at(receiving: &Value) -> SocketAddr {
    let address = receiving["url"].as_str().and_then(|url| url.split("//").nth(1));
    let address = address.and_then(|rest| rest.split('/').next());
    address.and_then(|address| address.parse().ok()).unwrap_or_else(|| panic!("{receiving}"))
}

/// Whether a descriptor becomes readable within a time.
pub(crate) fn readable(fd: &impl AsFd, time: Duration) -> bool {
    let mut fds = [PollFd::new(fd, PollFlags::IN)];
    let time = Timespec::try_from(time).expect("it is short");
    rustix::event::poll(&mut fds, Some(&time)).expect("it can be polled") > 0
}

/// A job that has ended.
pub(crate) struct Ended {
    shown: String,
    status: ExitStatus,
    /// Lines of standard output.
    pub(crate) out: Vec<String>,
    /// Lines of standard error.
    pub(crate) err: Vec<String>,
}

impl Ended {
    /// Checks the exit code.
    #[track_caller]
    pub(crate) fn code(self, code: i32) -> Self {
        assert_eq!(self.status.code(), Some(code), "{:?}: {}", self.status.signal(), self.said());
        self
    }

    /// Checks that standard error contains all texts.
    #[track_caller]
    pub(crate) fn says(self, texts: &[&str]) -> Self {
        let err = self.err.join("\n");
        for text in texts {
            assert!(err.contains(text), "{text:?} is missing: {}", self.said());
        }
        self
    }

    /// The summary, on the last line of standard output.
    #[track_caller]
    pub(crate) fn summary(&self) -> Value {
        let last = self.out.last().unwrap_or_else(|| panic!("no summary: {}", self.said()));
        serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {last}"))
    }

    pub(crate) fn said(&self) -> String {
        said(&self.shown, &self.out, &self.err)
    }
}

/// A process's output, shortened, for failures.
fn said(shown: &str, out: &[String], err: &[String]) -> String {
    let last = |lines: &[String]| {
        let cut = |line: &String| line.chars().take(300).collect::<String>();
        let from = lines.len().saturating_sub(30);
        lines[from..].iter().map(cut).collect::<Vec<_>>().join("\n    ")
    };
    format!("{shown}\n  standard output:\n    {}\n  standard error:\n    {}", last(out), last(err))
}

/// The output of a shell script, in the C locale.
pub(crate) fn shell(dir: &Path, script: &str) -> String {
    let mut command = Command::new("sh");
    command.args(["-euc", script]).current_dir(dir).env("LC_ALL", "C");
    let output = command.output().expect("there is a shell");
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}: {}: {err}", output.status);
    String::from_utf8(output.stdout).expect("the input is UTF-8")
}
