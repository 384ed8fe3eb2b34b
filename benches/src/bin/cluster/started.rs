//! A running job and its processes.

use std::cell::RefCell;
use std::error::Error;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::usage::{self, Usage};

/// Longest wait for an expected event.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running job; dropping it kills it and its workers.
pub(crate) struct Started {
    child: Child,
    news: Receiver<Value>,
    /// Events read while waiting for another.
    passed: RefCell<Vec<Value>>,
    /// Its output, until it is taken.
    pub(crate) out: Option<ChildStdout>,
}

/// The program with the measured jobs.
///
/// # Errors
/// When this program's path is unknown.
pub(crate) fn streams(job: &str) -> Result<Command, Box<dyn Error>> {
    let mut command = Command::new(std::env::current_exe()?.with_file_name("streams"));
    command.args(["--job", job]);
    Ok(command)
}

impl Started {
    /// Starts a job that logs JSON and prints a JSON summary.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) fn start(mut command: Command) -> Result<Self, Box<dyn Error>> {
        command.args(["--log", "json", "--summary", "json"]);
        Self::start_as_is(command)
    }

    /// The same, and keeps its batch events.
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
                // Batches are many and mostly not needed.
                if (batches || value["event"] != "batch") && sender.send(value).is_err() {
                    // Keep reading, or the job would block.
                    continue;
                }
            }
        });
        let out = child.stdout.take();
        Ok(Self { child, news, passed: RefCell::default(), out })
    }

    /// The events that were not waited for.
    pub(crate) fn all_said(&self) -> Vec<Value> {
        self.passed.take().into_iter().chain(self.news.try_iter()).collect()
    }

    /// All further events, until it ends.
    pub(crate) fn until_its_end(&self) -> impl Iterator<Item = Value> {
        self.news.iter()
    }

    /// Waits for an event.
    ///
    /// # Errors
    /// When the job ends first, or takes too long.
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

    /// Whether an event has been logged by now.
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

    /// The address of its only source.
    ///
    /// # Errors
    /// When it is not reported.
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

    /// Stops it, like Ctrl-C.
    ///
    /// # Errors
    /// When it has ended already.
    pub(crate) fn interrupt(&self) -> Result<(), Box<dyn Error>> {
        Ok(kill_process(Pid::from_child(&self.child), Signal::INT)?)
    }

    /// Kills it, as a failure of its host would.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub(crate) fn kill(&mut self) -> Result<(), Box<dyn Error>> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// The remaining events, to its end.
    pub(crate) fn rest(&self) -> Vec<Value> {
        self.passed.take().into_iter().chain(self.news.iter()).collect()
    }

    /// Whether it has ended.
    ///
    /// # Errors
    /// When its status is unavailable.
    pub(crate) fn has_ended(&mut self) -> Result<bool, Box<dyn Error>> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// Waits for its end while its output is read elsewhere.
    ///
    /// # Errors
    /// When its status is unavailable.
    pub(crate) fn end_without_summary(
        mut self,
    ) -> Result<std::process::ExitStatus, Box<dyn Error>> {
        Ok(self.child.wait()?)
    }

    /// Waits for its end; returns its summary.
    ///
    /// # Errors
    /// When it failed or printed no summary.
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
        // It may have been reaped already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The usage of processes, in order; zero for those that have ended.
pub(crate) fn usages(family: &[(String, u32)]) -> Vec<Usage> {
    family.iter().map(|(_, pid)| usage::usage(*pid).unwrap_or_default()).collect()
}
