//! The workers of a local cluster: copies of this process's own binary, in a process group of their own,
//! so that Ctrl-C reaches this process only.
//!
//! Where the job goes on without a worker (with a journal), a worker that ends before the job does is started
//! again, after a pause that doubles with each failure in a row.
//!
//! Invariant: however this process ends, they end too. They are waited for when the job is over and
//! killed when that takes too long; the kernel kills them when this process dies. The kernel looks at the
//! thread that has started a process, so that thread lives as long as its worker.

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
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::args::{Invocation, LogFormat};
use super::show::{Speaker, Told};
use super::worker::PARENT;
use crate::driver::StopHandle;
use crate::driver::cluster::MasterPaths;

/// How long workers may take to end after the job.
const FAREWELL: Duration = Duration::from_secs(5);

/// The pause before a worker is started again: the first, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A worker that has run for this long has not failed in a row.
const STEADY: Duration = Duration::from_secs(60);

/// What every worker is started with.
#[derive(Debug, Clone)]
pub(super) struct Orders {
    pub job: &'static str,
    pub log: LogFormat,
    pub workers: u32,
    /// Threads of each that run tasks.
    pub cores: usize,
    /// The memory of each, in bytes.
    pub memory: u64,
    /// Whether the job goes on without one of them, so that it can be started again.
    pub restarts: bool,
}

impl Orders {
    pub(super) fn new(invocation: &Invocation<'_>, workers: u32, cores: usize) -> Self {
        let (job, log) = (invocation.job.plan().job, invocation.engine.log);
        let each = (cores / workers.max(1) as usize).max(1);
        let (memory, restarts) =
            (invocation.cluster.memory, invocation.cluster.checkpoint.is_some());
        Self { job, log, workers, cores: each, memory, restarts }
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
    shared: Shared,
    members: Vec<Member>,
    ended: (Sender<()>, Receiver<()>),
}

/// What every thread that keeps a worker has.
#[derive(Clone)]
struct Shared {
    speaker: Speaker,
    stop: StopHandle,
    watch: Arc<Mutex<Watch>>,
    /// The job is over: workers end now, and need no mention.
    over: Arc<AtomicBool>,
}

struct Member {
    /// The process that runs now, if one does.
    process: Arc<Mutex<Option<Child>>>,
    /// Ends the pause before its next start, when dropped.
    pause: Option<Sender<()>>,
    keeper: Option<JoinHandle<()>>,
}

impl Crew {
    /// None yet. A worker that ends before it has joined stops the job.
    pub(super) fn new(orders: Orders, speaker: Speaker, stop: StopHandle) -> Self {
        let (watch, over) = Default::default();
        let shared = Shared { speaker, stop, watch, over };
        Self { orders, shared, members: Vec::new(), ended: channel() }
    }

    /// What is told that a worker has joined.
    pub(super) fn roll(&self) -> Roll {
        Roll { watch: self.shared.watch.clone(), stop: self.shared.stop.clone() }
    }

    /// Starts them.
    pub(super) fn start(&mut self, master: SocketAddr, paths: &MasterPaths) {
        for n in 1..=self.orders.workers {
            let name = format!("w{n}");
            let arguments = self.orders.arguments(&name, master, paths);
            if let Err(error) = self.adopt(name.clone(), move || worker(&arguments)) {
                self.shared.fail(format!("worker {name} cannot be started: {error}"));
                return;
            }
        }
    }

    /// Keeps a worker running, on a thread of its own.
    fn adopt(
        &mut self,
        name: String,
        command: impl Fn() -> io::Result<Command> + Send + 'static,
    ) -> io::Result<()> {
        let (pause, paused) = channel();
        let process = Arc::default();
        let keeper = Keeper {
            name: name.clone(),
            shared: self.shared.clone(),
            restarts: self.orders.restarts,
            process: Arc::clone(&process),
            paused,
        };
        let ended = self.ended.0.clone();
        let keep = move || {
            keeper.keep(&command);
            // `end` may have given up.
            let _ = ended.send(());
        };
        let keeper =
            std::thread::Builder::new().name(format!("dstream-keep-{name}")).spawn(keep)?;
        self.members.push(Member { process, pause: Some(pause), keeper: Some(keeper) });
        Ok(())
    }

    /// Waits until they have ended: the job is over. Says why it could not run, if a worker was the cause.
    pub(super) fn end(mut self) -> Option<String> {
        self.over();
        let deadline = Instant::now() + FAREWELL;
        for _ in 0..self.members.len() {
            let left = deadline.saturating_duration_since(Instant::now());
            if self.ended.1.recv_timeout(left).is_err() {
                break;
            }
        }
        self.kill_all();
        lock(&self.shared.watch).failure.take()
    }

    /// No worker is started any more.
    fn over(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        self.members.iter_mut().for_each(|member| member.pause = None);
    }

    fn kill_all(&mut self) {
        self.over();
        for mut member in self.members.drain(..) {
            member.kill();
            if let Some(keeper) = member.keeper.take() {
                // What it panicked about is on standard error.
                let _ = keeper.join();
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
        if let Some(process) = &mut *lock(&self.process) {
            // It may have ended already.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

impl Shared {
    fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    fn has_joined(&self, name: &str) -> bool {
        lock(&self.watch).joined.contains(name)
    }

    /// The job cannot run.
    fn fail(&self, why: String) {
        lock(&self.watch).failure.get_or_insert(why);
        self.stop.stop();
    }
}

/// Runs one worker, again and again.
struct Keeper {
    name: String,
    shared: Shared,
    restarts: bool,
    process: Arc<Mutex<Option<Child>>>,
    paused: Receiver<()>,
}

impl Keeper {
    fn keep(&self, command: &impl Fn() -> io::Result<Command>) {
        let Self { name, shared, .. } = self;
        let mut failures = 0;
        loop {
            let started = Instant::now();
            let status = match self.run(command) {
                Ok(None) => return,
                Ok(Some(status)) if status.success() => return,
                Ok(Some(status)) => format!("its process has ended ({status})"),
                Err(error) => format!("it cannot be started: {error}"),
            };
            if shared.is_over() {
                return;
            }
            if !shared.has_joined(name) {
                shared.speaker.tell(&Ended { name, status: &status, again: None });
                return shared.fail(format!("worker {name} did not join: {status}"));
            }
            // The master hears it before its silence would tell.
            shared.stop.worker_ended(name, &status);
            failures = if started.elapsed() < STEADY { failures + 1 } else { 1 };
            let again = self.restarts.then(|| pause(failures));
            shared.speaker.tell(&Ended { name, status: &status, again });
            match again.map(|pause| self.paused.recv_timeout(pause)) {
                Some(Err(RecvTimeoutError::Timeout)) => {}
                _ => return,
            }
        }
    }

    /// Runs it once; nothing if the job was over before.
    fn run(&self, command: &impl Fn() -> io::Result<Command>) -> io::Result<Option<ExitStatus>> {
        let lines = {
            // A worker that is started after this was looked at is seen by those who end all of them.
            let mut process = lock(&self.process);
            if self.shared.is_over() {
                return Ok(None);
            }
            let mut child = command()?.stdin(Stdio::null()).stderr(Stdio::piped()).spawn()?;
            let lines = child.stderr.take().map(BufReader::new);
            *process = Some(child);
            lines
        };
        lines.into_iter().for_each(|lines| pass_on(&self.name, lines, &self.shared.speaker));
        // It has closed its standard error, so it is about to end if it has not yet.
        lock(&self.process).as_mut().map(Child::wait).transpose()
    }
}

/// How long to wait before the next start, after a number of failures in a row.
fn pause(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    FIRST_PAUSE.saturating_mul(1 << doublings).min(LONGEST_PAUSE)
}

/// This binary, as a worker.
fn worker(arguments: &[OsString]) -> io::Result<Command> {
    let mut command = Command::new(own_binary()?);
    command.args(arguments).process_group(0).env(PARENT, std::process::id().to_string());
    if let Some(called) = std::env::args_os().next() {
        command.arg0(called);
    }
    Ok(command)
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
        speaker.say(&named(name, text.trim_end(), speaker.log));
        line.clear();
    }
}

/// A line of a worker with its name.
fn named(name: &str, line: &str, log: LogFormat) -> String {
    match log {
        LogFormat::Text => format!("{name} | {line}"),
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
    /// After what time it is started again, if it is.
    again: Option<Duration>,
}

impl Told for Ended<'_> {
    fn lines(&self) -> Vec<String> {
        let again = self.again.map(|pause| format!("; it is started again in {pause:?}"));
        vec![format!("{}: {}{}", self.name, self.status, again.unwrap_or_default())]
    }

    fn json(&self) -> Value {
        let again = self.again.map(|pause| pause.as_millis() as u64);
        json!({
            "event": "ended", "worker": self.name, "status": self.status, "restart_in_ms": again,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crew() -> Crew {
        let (log, job) = (LogFormat::Json, "counts");
        let orders = Orders { job, log, workers: 2, cores: 1, memory: 1 << 20, restarts: false };
        Crew::new(orders, Speaker::new(log), StopHandle::new())
    }

    fn shell(script: &'static str) -> impl Fn() -> io::Result<Command> + Send {
        move || {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            Ok(command)
        }
    }

    #[test]
    fn a_worker_is_told_everything_by_options() {
        let paths = MasterPaths::new("/tmp/s");
        let arguments = crew().orders.arguments("w1", "127.0.0.1:1".parse().unwrap(), &paths);
        let line: Vec<_> = arguments.iter().map(|a| a.to_string_lossy()).collect();
        assert_eq!(
            line.join(" "),
            "--job counts --role worker --master 127.0.0.1:1 --token-file /tmp/s/worker.token \
             --state /tmp/s --name w1 --cores 1 --memory 1048576B --log json"
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
        assert!(crew.shared.stop.is_stopped());
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
        assert!(!crew.shared.stop.is_stopped());
        crew.members.clear();
        assert_eq!(crew.end(), None);
    }

    #[test]
    fn pauses_double_and_are_bounded() {
        assert_eq!(pause(1), Duration::from_millis(500));
        assert_eq!(pause(3), Duration::from_secs(2));
        assert_eq!((pause(7), pause(u32::MAX)), (LONGEST_PAUSE, LONGEST_PAUSE));
    }

    #[test]
    fn a_worker_is_started_again_until_it_succeeds() {
        let mut crew = crew();
        crew.orders.restarts = true;
        crew.roll().joined("w1");
        let count = tempfile::NamedTempFile::new().unwrap();
        let path = count.path().to_owned();
        let command = move || {
            let mut command = Command::new("sh");
            // The second run ends well.
            command.args(["-c", "echo x >> \"$0\"; test $(wc -l < \"$0\") -ge 2"]).arg(&path);
            Ok(command)
        };
        crew.adopt("w1".to_owned(), command).unwrap();
        crew.ended.1.recv().unwrap();
        assert_eq!(fs::read_to_string(count.path()).unwrap(), "x\nx\n");
        assert!(!crew.shared.stop.is_stopped());
    }

    #[test]
    fn the_end_of_the_job_ends_a_pause() {
        let mut crew = crew();
        crew.orders.restarts = true;
        crew.roll().joined("w1");
        // Each start fails: the pauses soon are longer than this test.
        crew.adopt("w1".to_owned(), || Err(io::Error::other("no"))).unwrap();
        let started = Instant::now();
        assert_eq!(crew.end(), None);
        assert!(started.elapsed() < FAREWELL);
    }

    #[test]
    fn workers_end_with_the_crew() {
        let mut crew = crew();
        // The shell becomes what would outlive it.
        crew.adopt("w1".to_owned(), shell("echo >&2; exec sleep 600")).unwrap();
        let process = crew.members[0].process.clone();
        while lock(&process).is_none() {
            std::thread::yield_now();
        }
        drop(crew);
        assert!(lock(&process).as_mut().unwrap().try_wait().unwrap().is_some());
    }
}
