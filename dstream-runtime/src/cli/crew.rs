//! The workers of a local cluster: copies of this process's own binary, in a process group of their own,
//! so that Ctrl-C reaches this process only.
//!
//! Invariant: however this process ends, they end too. They are waited for when the job is over and
//! killed when that takes too long; the kernel kills them when this process dies.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::args::{Invocation, LogFormat};
use super::log::{self, Level};
use super::show::{Speaker, Told};
use super::worker::PARENT;
use crate::driver::StopHandle;
use crate::driver::cluster::MasterPaths;

/// How long workers may take to end after the job.
const FAREWELL: Duration = Duration::from_secs(5);

/// What every worker is started with.
#[derive(Debug, Clone)]
pub(super) struct Orders {
    pub job: &'static str,
    pub log: LogFormat,
    pub quiet: bool,
    pub workers: u32,
    /// Threads of each that run tasks.
    pub cores: usize,
    /// The memory of each, in bytes.
    pub memory: u64,
}

impl Orders {
    pub(super) fn new(invocation: &Invocation<'_>, workers: u32, cores: usize) -> Self {
        let (job, log) = (invocation.job.plan().job, invocation.engine.log);
        let each = (cores / workers.max(1) as usize).max(1);
        let quiet = invocation.engine.quiet;
        Self { job, log, quiet, workers, cores: each, memory: invocation.cluster.memory }
    }

    /// The arguments of one of them.
    fn arguments(&self, name: &str, master: SocketAddr, paths: &MasterPaths) -> Vec<OsString> {
        let log = match self.log {
            LogFormat::Text => "text",
            LogFormat::Json => "json",
        };
        let mut arguments: Vec<OsString> = Vec::new();
        for (option, value) in [
            ("--job", OsString::from(self.job)),
            ("--role", "worker".into()),
            ("--master", master.to_string().into()),
            ("--token-file", paths.worker_token().into()),
            ("--state", paths.state().into()),
            ("--name", name.into()),
            ("--cores", self.cores.to_string().into()),
            ("--memory", format!("{}B", self.memory).into()),
            ("--log", log.into()),
        ] {
            arguments.extend([option.into(), value]);
        }
        arguments.extend(self.quiet.then(|| "--quiet".into()));
        arguments
    }
}

/// What the threads that watch workers share with the one that runs the job.
#[derive(Default)]
struct Watch {
    /// Names of those who have joined.
    joined: BTreeSet<String>,
    /// Why the job cannot run, if a worker could not join.
    failure: Option<String>,
}

/// The workers.
pub(super) struct Crew {
    orders: Orders,
    speaker: Speaker,
    stop: StopHandle,
    watch: Arc<Mutex<Watch>>,
    /// The job is over: workers end now, and need not be talked about.
    over: Arc<AtomicBool>,
    members: Vec<Member>,
    ended: (Sender<()>, Receiver<()>),
}

struct Member {
    process: Arc<Mutex<Child>>,
    watcher: Option<JoinHandle<()>>,
}

impl Crew {
    /// None yet. A worker that ends before it has joined stops the job.
    pub(super) fn new(orders: Orders, speaker: Speaker, stop: StopHandle) -> Self {
        let (watch, over) = Default::default();
        Self { orders, speaker, stop, watch, over, members: Vec::new(), ended: channel() }
    }

    /// What is told that a worker has joined.
    pub(super) fn roll(&self) -> Roll {
        Roll { watch: self.watch.clone(), stop: self.stop.clone() }
    }

    /// Starts them, on the thread that runs the job: the kernel kills them when it ends.
    pub(super) fn start(&mut self, master: SocketAddr, paths: &MasterPaths) {
        for n in 1..=self.orders.workers {
            let name = format!("w{n}");
            let arguments = self.orders.arguments(&name, master, paths);
            if let Err(error) = self.start_one(name.clone(), arguments) {
                let why = format!("worker {name} cannot be started: {error}");
                lock(&self.watch).failure.get_or_insert(why);
                self.stop.stop();
                return;
            }
        }
    }

    fn start_one(&mut self, name: String, arguments: Vec<OsString>) -> io::Result<()> {
        let program = own_binary()?;
        let mut command = Command::new(program);
        command.args(arguments).process_group(0).env(PARENT, std::process::id().to_string());
        if let Some(called) = std::env::args_os().next() {
            command.arg0(called);
        }
        self.adopt(name, command)
    }

    /// Starts a process and watches it.
    fn adopt(&mut self, name: String, mut command: Command) -> io::Result<()> {
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let lines = child.stderr.take().map(BufReader::new);
        let process = Arc::new(Mutex::new(child));
        let mut member = Member { process: process.clone(), watcher: None };
        let (speaker, stop, watch) = (self.speaker.clone(), self.stop.clone(), self.watch.clone());
        let (over, ended) = (self.over.clone(), self.ended.0.clone());
        let called = name.clone();
        let watcher = move || {
            lines.into_iter().for_each(|lines| pass_on(&name, lines, &speaker));
            // It has closed its standard error, so it is about to end if it has not yet.
            let status = lock(&process).wait();
            if !over.load(Ordering::SeqCst) && !status.as_ref().is_ok_and(ExitStatus::success) {
                let status = status.map_or_else(|error| error.to_string(), |s| s.to_string());
                speaker.tell(&Ended { name: &name, status: &status });
                let mut watch = lock(&watch);
                if !watch.joined.contains(&name) {
                    let why = format!("worker {name} ended before it could join ({status})");
                    watch.failure.get_or_insert(why);
                    stop.stop();
                } else {
                    // Sooner than its silence would tell.
                    stop.worker_ended(&name, &format!("its process has ended ({status})"));
                }
            }
            // Nobody may be waiting any more.
            let _ = ended.send(());
        };
        let thread = std::thread::Builder::new().name(format!("dstream-watch-{called}"));
        let started = thread.spawn(watcher).map(|watcher| member.watcher = Some(watcher));
        if started.is_err() {
            member.kill();
        } else {
            self.members.push(member);
        }
        started
    }

    /// Waits until they have ended: the job is over. Says why it could not run, if that was their fault.
    pub(super) fn end(mut self) -> Option<String> {
        self.over.store(true, Ordering::SeqCst);
        let deadline = Instant::now() + FAREWELL;
        for _ in 0..self.members.len() {
            let left = deadline.saturating_duration_since(Instant::now());
            if self.ended.1.recv_timeout(left).is_err() {
                break;
            }
        }
        self.kill_all();
        lock(&self.watch).failure.take()
    }

    fn kill_all(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        for mut member in self.members.drain(..) {
            member.kill();
            if let Some(watcher) = member.watcher.take() {
                // What it panicked about is on standard error.
                let _ = watcher.join();
            }
        }
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.kill_all();
    }
}

impl Member {
    fn kill(&mut self) {
        let mut process = lock(&self.process);
        // It may have ended already.
        let _ = process.kill();
        let _ = process.wait();
    }
}

/// Who has joined.
pub(super) struct Roll {
    watch: Arc<Mutex<Watch>>,
    stop: StopHandle,
}

impl Roll {
    /// A worker has joined.
    pub(super) fn joined(&self, name: &str) {
        lock(&self.watch).joined.insert(name.to_owned());
    }

    /// A worker is gone before the first batch.
    pub(super) fn left(&self, name: &str, why: &str) {
        let why = format!("worker `{name}`: {why}\n  help: start the job again");
        lock(&self.watch).failure.get_or_insert(why);
        self.stop.stop();
    }
}

/// Nothing that is locked here is left half changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The binary that this process runs. It may have been built anew since: then the kernel still has the
/// one that it was, if under a name that says nothing to people.
fn own_binary() -> io::Result<PathBuf> {
    let (named, running) = (std::env::current_exe()?, Path::new("/proc/self/exe"));
    let id = |path: &Path| fs::metadata(path).map(|file| (file.dev(), file.ino())).ok();
    match id(running) {
        Some(own) if id(&named) != Some(own) => Ok(running.to_owned()),
        _ => Ok(named),
    }
}

/// Passes on what a worker says, line by line, with its name.
fn pass_on(name: &str, mut lines: impl BufRead, speaker: &Speaker) {
    let mut line = Vec::new();
    // A pipe that cannot be read has no more to say than one that has ended.
    while lines.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
        let text = String::from_utf8_lossy(&line);
        speaker.pass_on(&named(name, text.trim_end(), speaker.log));
        line.clear();
    }
}

/// A line of a worker with its name.
fn named(name: &str, line: &str, log: LogFormat) -> String {
    match log {
        LogFormat::Text => log::with_name(name, line),
        LogFormat::Json => match serde_json::from_str(line) {
            Ok(Value::Object(mut event)) => {
                event.entry("worker").or_insert_with(|| name.into());
                Value::Object(event).to_string()
            }
            _ => json!({"event": "line", "worker": name, "text": line}).to_string(),
        },
    }
}

/// A worker that has ended on its own.
struct Ended<'e> {
    name: &'e str,
    status: &'e str,
}

impl Told for Ended<'_> {
    fn level(&self) -> Level {
        Level::Warn
    }

    fn lines(&self) -> Vec<String> {
        vec![format!("{} has ended: {}", self.name, self.status)]
    }

    fn json(&self) -> Value {
        json!({"event": "ended", "worker": self.name, "status": self.status})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crew() -> Crew {
        let (log, job) = (LogFormat::Json, "counts");
        let orders = Orders { job, log, quiet: true, workers: 2, cores: 1, memory: 1 << 20 };
        Crew::new(orders, Speaker::of(log), StopHandle::new())
    }

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_worker_is_told_everything_by_options() {
        let paths = MasterPaths::new("/tmp/s");
        let arguments = crew().orders.arguments("w1", "127.0.0.1:1".parse().unwrap(), &paths);
        let line: Vec<_> = arguments.iter().map(|a| a.to_string_lossy()).collect();
        assert_eq!(
            line.join(" "),
            "--job counts --role worker --master 127.0.0.1:1 --token-file /tmp/s/worker.token \
             --state /tmp/s --name w1 --cores 1 --memory 1048576B --log json --quiet"
        );
    }

    #[test]
    fn lines_of_workers_have_their_names() {
        assert_eq!(named("w1", "error: no", LogFormat::Text), "w1 | error: no");
        let event = named("w1", r#"{"event":"over"}"#, LogFormat::Json);
        assert_eq!(event, r#"{"event":"over","worker":"w1"}"#);
        let panic = named("w1", "thread panicked", LogFormat::Json);
        assert_eq!(panic, r#"{"event":"line","text":"thread panicked","worker":"w1"}"#);
    }

    #[test]
    fn a_worker_that_cannot_join_stops_the_job() {
        let mut crew = crew();
        crew.adopt("w1".to_owned(), shell("echo no >&2; exit 3")).unwrap();
        crew.ended.1.recv().unwrap();
        assert!(crew.stop.is_stopped());
        // It has been counted already.
        crew.members.clear();
        let why = crew.end().unwrap();
        assert!(why.contains("worker w1") && why.contains("exit status: 3"), "{why}");
    }

    #[test]
    fn a_worker_that_ends_later_is_the_masters_business() {
        let mut crew = crew();
        crew.roll().joined("w1");
        crew.adopt("w1".to_owned(), shell("exit 3")).unwrap();
        crew.adopt("w2".to_owned(), shell("exit 0")).unwrap();
        crew.ended.1.recv().unwrap();
        crew.ended.1.recv().unwrap();
        assert!(!crew.stop.is_stopped());
        crew.members.clear();
        assert_eq!(crew.end(), None);
    }

    #[test]
    fn workers_end_with_the_crew() {
        let mut crew = crew();
        // The shell becomes what would outlive it.
        crew.adopt("w1".to_owned(), shell("exec sleep 600")).unwrap();
        let process = crew.members[0].process.clone();
        drop(crew);
        assert!(lock(&process).try_wait().unwrap().is_some());
    }
}
