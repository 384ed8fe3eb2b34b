//! A job that runs, with all its processes.

use std::cell::RefCell;
use std::error::Error;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::usage::{self, Usage};

/// How long a job may take to say something that it must say.
const PATIENCE: Duration = Duration::from_secs(60);

/// A job that runs. It is killed when this is dropped, and its workers with it.
pub(crate) struct Started {
    child: Child,
    news: Receiver<Value>,
    /// What came while something else was waited for.
    passed: RefCell<Vec<Value>>,
    /// What it writes, unless somebody has taken it.
    pub(crate) out: Option<ChildStdout>,
}

/// The program with the jobs that are measured.
///
/// # Errors
/// When this program's own place is unknown.
pub(crate) fn streams(job: &str) -> Result<Command, Box<dyn Error>> {
    let mut command = Command::new(std::env::current_exe()?.with_file_name("streams"));
    command.args(["--job", job]);
    Ok(command)
}

impl Started {
    /// Starts a job that logs and ends as machines like it.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) fn start(mut command: Command) -> Result<Self, Box<dyn Error>> {
        command.args(["--log", "json", "--summary", "json"]);
        Self::start_as_is(command)
    }

    /// The same, and what it says of its batches is kept.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) fn start_with_batches(mut command: Command) -> Result<Self, Box<dyn Error>> {
        command.args(["--log", "json", "--summary", "json"]);
        Self::spawn(command, true)
    }

    /// Starts a process that logs JSON.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) fn start_as_is(command: Command) -> Result<Self, Box<dyn Error>> {
        Self::spawn(command, false)
    }

    fn spawn(mut command: Command, batches: bool) -> Result<Self, Box<dyn Error>> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("{command:?}: {error}"))?;
        let (sender, news) = channel();
        let lines = child.stderr.take().map(BufReader::new);
        std::thread::spawn(move || {
            for line in lines.into_iter().flat_map(BufRead::lines).map_while(Result::ok) {
                let value = serde_json::from_str(&line).unwrap_or(Value::String(line));
                // Batches are many, and mostly nobody asks for them.
                if (batches || value["event"] != "batch") && sender.send(value).is_err() {
                    // It must go on reading, or the job would wait.
                    continue;
                }
            }
        });
        let out = child.stdout.take();
        Ok(Self { child, news, passed: RefCell::default(), out })
    }

    /// What it has said that nobody waited for.
    pub(crate) fn all_said(&self) -> Vec<Value> {
        self.passed.take().into_iter().chain(self.news.try_iter()).collect()
    }

    /// All that it says from now on, as it says it, until it ends.
    pub(crate) fn until_its_end(&self) -> impl Iterator<Item = Value> {
        self.news.iter()
    }

    /// Waits until the job says that something has happened.
    ///
    /// # Errors
    /// When it ends before, or takes too long.
    pub(crate) fn wait_for(&self, event: &str) -> Result<Value, Box<dyn Error>> {
        let until = Instant::now() + PATIENCE;
        let mut said = Vec::new();
        loop {
            match self.news.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(news) if news["event"] == event => return Ok(news),
                Ok(news) => {
                    said.push(news.clone());
                    self.passed.borrow_mut().push(news);
                }
                Err(why) => return Err(format!("no `{event}` ({why}): {said:?}").into()),
            }
        }
    }

    /// Whether it has said meanwhile that something has happened.
    pub(crate) fn said(&self, event: &str) -> bool {
        self.news.try_iter().any(|news| news["event"] == event)
    }

    /// The process that was started.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its processes.
    pub(crate) fn family(&self) -> Vec<(String, u32)> {
        usage::family(self.child.id())
    }

    /// Where its only source listens.
    ///
    /// # Errors
    /// When it does not say so.
    pub(crate) fn address(&self, workers: u32) -> Result<String, Box<dyn Error>> {
        if workers == 0 {
            let start = self.wait_for("start")?;
            return Ok(start["addresses"][0].as_str().ok_or("it does not listen")?.to_owned());
        }
        let receiving = self.wait_for("receiving")?;
        let url = receiving["url"].as_str().and_then(|url| url.split("://").nth(1));
        let address = url.and_then(|rest| rest.split('/').next());
        Ok(address.ok_or("a receiver without an address")?.to_owned())
    }

    /// Asks it to end, as Ctrl-C does.
    ///
    /// # Errors
    /// When it has ended already.
    pub(crate) fn interrupt(&self) -> Result<(), Box<dyn Error>> {
        Ok(kill_process(Pid::from_child(&self.child), Signal::INT)?)
    }

    /// Ends it, as if its host had failed.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub(crate) fn kill(&mut self) -> Result<(), Box<dyn Error>> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// What it has said that nobody waited for, to its end.
    pub(crate) fn rest(&self) -> Vec<Value> {
        self.passed.take().into_iter().chain(self.news.iter()).collect()
    }

    /// Whether it has ended.
    ///
    /// # Errors
    /// When nobody knows.
    pub(crate) fn has_ended(&mut self) -> Result<bool, Box<dyn Error>> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// Waits for its end, whoever has its output.
    ///
    /// # Errors
    /// When nobody knows.
    pub(crate) fn end_without_summary(
        mut self,
    ) -> Result<std::process::ExitStatus, Box<dyn Error>> {
        Ok(self.child.wait()?)
    }

    /// Waits for its end; its summary.
    ///
    /// # Errors
    /// When it failed, or wrote none.
    pub(crate) fn end(mut self) -> Result<Value, Box<dyn Error>> {
        let mut text = String::new();
        if let Some(mut out) = self.out.take() {
            out.read_to_string(&mut text)?;
        }
        let status = self.child.wait()?;
        if !status.success() {
            let said: Vec<Value> = self.news.try_iter().collect();
            return Err(format!("the job failed ({status}): {said:?}").into());
        }
        Ok(serde_json::from_str(text.lines().last().unwrap_or_default())?)
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        // It may have ended, and been waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What processes have used, in the order of a family; zero for those that have ended.
pub(crate) fn usages(family: &[(String, u32)]) -> Vec<Usage> {
    family.iter().map(|(_, pid)| usage::usage(*pid).unwrap_or_default()).collect()
}
