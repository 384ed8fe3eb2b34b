//! The worker of a durable job in one process: a thread beside the master.
//!
//! Master and worker speak by memory as processes do over the network, so the job has the same journal, saved
//! states, `status`, savepoints and restart as a cluster. Clients and other workers reach both over the loopback.

use std::net::{Ipv4Addr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use super::args::Invocation;
use super::run::cores;
use super::show::Speaker;
use super::worker;
use crate::driver::StopHandle;
use crate::driver::cluster::{MasterPaths, Reach, WorkerOptions};
use crate::job::AnyJob;
use crate::net::MemoryNetwork;

/// The name of the worker.
const NAME: &str = "w1";

/// How long the worker may take to end after the job. The end of the process ends it in any case.
const FAREWELL: Duration = Duration::from_secs(5);

/// The worker.
pub(super) struct Inside {
    job: Box<dyn AnyJob + Send>,
    cores: usize,
    memory: u64,
    network: MemoryNetwork,
    speaker: Speaker,
    stop: StopHandle,
    /// Ends the worker alone.
    leave: StopHandle,
    /// Says, when the worker has ended, why the job cannot run; nothing if it ended with the job.
    ended: Option<Receiver<String>>,
}

impl Inside {
    /// It is not started yet. Its failure stops the job.
    pub(super) fn new(invocation: &Invocation<'_>, speaker: Speaker, stop: StopHandle) -> Self {
        Self {
            job: invocation.job.boxed(),
            cores: cores(invocation),
            memory: invocation.cluster.memory,
            network: MemoryNetwork::default(),
            speaker,
            stop,
            leave: StopHandle::new(),
            ended: None,
        }
    }

    /// How it and its master reach each other.
    pub(super) fn reach(&self) -> Reach {
        Reach::Near(self.network.clone())
    }

    /// Starts it.
    pub(super) fn start(&mut self, master: SocketAddr, paths: &MasterPaths) {
        let options = WorkerOptions {
            master: vec![master],
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            public: false,
            bulk_port: 0,
            reach: self.reach(),
            token: Some(paths.worker_token()),
            identity: paths.identity(NAME),
            spill: paths.spill(NAME),
            name: NAME.to_owned(),
            keeps_name: true,
            cores: self.cores,
            memory: self.memory,
            durable: None,
        };
        let (job, speaker, stop) = (self.job.boxed(), self.speaker.clone(), self.stop.clone());
        let leave = self.leave.clone();
        let (end, ended) = channel();
        self.ended = Some(ended);
        let failed = end.clone();
        let run = move || {
            // It leaves when its master says that the job is over; a signal stops the job.
            let serve = || worker::serve(&*job, options, &speaker, true, leave);
            let why = match catch_unwind(AssertUnwindSafe(serve)) {
                Ok(Ok(())) => return,
                Ok(Err(error)) => error.to_string(),
                // The panic itself is on standard error.
                Err(_) => "its thread has panicked".to_owned(),
            };
            stop.worker_ended(NAME, &why);
            fail(&end, &stop, format!("the job's own worker has failed: {why}"));
        };
        let thread = std::thread::Builder::new().name("dstream-worker".to_owned());
        if let Err(error) = thread.spawn(run) {
            fail(&failed, &self.stop, format!("the job's own worker cannot be started: {error}"));
        }
    }

    /// Waits until it has ended: the job is over. Says why the job could not run, if the worker was the cause.
    pub(super) fn end(self, has_failed: bool) -> Option<String> {
        if has_failed {
            // It would wait for the next master.
            self.leave.stop();
        }
        self.ended?.recv_timeout(FAREWELL).ok()
    }
}

/// The job cannot run.
fn fail(end: &Sender<String>, stop: &StopHandle, why: String) {
    // The job may have given up waiting.
    let _ = end.send(why);
    stop.stop();
}
