//! Clusters whose processes are killed.

use std::error::Error;
use std::path::Path;
use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::started::{Started, streams};

/// A job and its options.
#[derive(Debug, Clone)]
pub(super) struct Setup {
    pub(super) job: String,
    /// Records per second.
    pub(super) rate: u64,
    pub(super) workers: u32,
    /// The checkpoint interval.
    pub(super) checkpoint: String,
}

/// A master with separately started workers, as on several hosts: the kernel tells no parent when one ends.
/// All end when this is dropped.
pub(super) struct Apart {
    pub(super) master: Started,
    /// The master's address.
    addr: String,
    workers: Vec<Started>,
    state: TempDir,
}

impl Setup {
    fn job(&self) -> Result<Command, Box<dyn Error>> {
        let mut command = streams(&self.job)?;
        command.args(["--source", &format!("lines=generate://words?rate={}", self.rate)]);
        command.args(["--checkpoint", &self.checkpoint, "--workers", &self.workers.to_string()]);
        Ok(command)
    }

    /// A master that starts its workers.
    pub(super) fn together(&self) -> Result<Started, Box<dyn Error>> {
        Started::start_with_batches(self.job()?)
    }

    /// A master, and separately started workers.
    pub(super) fn apart(&self) -> Result<Apart, Box<dyn Error>> {
        let state = tempfile::tempdir()?;
        let master = self.master("127.0.0.1:0", state.path())?;
        let listening = master.wait_for("listening")?;
        let addr = listening["address"].as_str().ok_or("no address")?.to_owned();
        let workers = 1..=self.workers;
        let workers = workers.map(|n| self.worker(n, &addr, state.path()));
        let workers = workers.collect::<Result<_, _>>()?;
        Ok(Apart { master, addr, workers, state })
    }

    fn master(&self, listen: &str, state: &Path) -> Result<Started, Box<dyn Error>> {
        let mut command = self.job()?;
        command.args(["--role", "master", "--listen", listen]);
        command.args(["--state".as_ref(), state.as_os_str()]);
        Started::start_with_batches(command)
    }

    fn worker(&self, number: u32, master: &str, state: &Path) -> Result<Started, Box<dyn Error>> {
        let name = format!("w{number}");
        let mut command = streams(&self.job)?;
        command.args(["--role", "worker", "--log", "json", "--cores", "1", "--master", master]);
        command.args(["--name", &name]);
        command.args(["--token-file".as_ref(), state.join("worker.token").as_os_str()]);
        command.args(["--state".as_ref(), state.join(&name).as_os_str()]);
        Started::start_as_is(command)
    }
}

impl Apart {
    /// The workers' processes.
    pub(super) fn workers(&self) -> Vec<u32> {
        self.workers.iter().map(Started::pid).collect()
    }

    /// Kills the master and restarts it at once; returns the events of the first one that were not read.
    pub(super) fn restart(
        &mut self,
        setup: &Setup,
    ) -> Result<Vec<serde_json::Value>, Box<dyn Error>> {
        self.master.kill()?;
        let second = setup.master(&self.addr, self.state.path())?;
        Ok(std::mem::replace(&mut self.master, second).rest())
    }
}

/// Kills a process, as a failure of its host would.
pub(super) fn kill(pid: u32) -> Result<(), Box<dyn Error>> {
    let pid = Pid::from_raw(pid.cast_signed()).ok_or("a process without a number")?;
    Ok(kill_process(pid, Signal::KILL)?)
}
