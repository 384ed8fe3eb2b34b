//! A job on several processes: what its drivers are told, what they say, and the doors to them.
//!
//! Everything here is plain data. What a process is to do arrives as options ([`MasterOptions`],
//! [`WorkerOptions`], [`ClientTarget`]); what happens is said as news ([`ClusterNews`], [`WorkerNews`])
//! and, to whoever asks, as a [`ClusterStatus`]. Nothing here reads a command line or writes to a
//! terminal: that is [`cli`](crate::cli)'s.

mod ask;
mod error;
mod news;
mod paths;
mod setup;
mod status;

pub use ask::{Access, ClientTarget, Question, Reply};
pub use error::ClusterError;
pub use news::{ClusterNews, WorkerNews};
pub use paths::{MasterFile, MasterPaths};
pub use setup::{JobSetup, MasterOptions, WorkerOptions};
pub use status::{
    BatchStatus, ClusterStatus, OutputStatus, Phase, PublishedStatus, ReceiverStatus, SourceStatus,
    Standing, WorkerStatus,
};

use std::net::SocketAddr;

use super::error::JobError;
use super::report::{Observer, Summary};
use super::stop::StopHandle;
use crate::exec::job::BuiltJob;
use crate::plan::Plan;
use crate::sink::Sink;
use crate::source::Source;

/// Runs a job as its master, to its end: that of its sources, a stop, or a failure.
///
/// `sources` are its opened sources and `sinks` its opened outputs, in the order of the plan.
/// `listening` is called once, on the calling thread, as soon as workers can join: the tokens and the
/// master's file are written by then.
///
/// # Errors
/// When the address or the state directory cannot be had, or the job failed. All batches before that
/// were published.
pub fn serve_master(
    job: BuiltJob,
    options: MasterOptions,
    sources: Vec<Box<dyn Source>>,
    sinks: Vec<Box<dyn Sink>>,
    observer: &mut dyn Observer,
    stop: StopHandle,
    listening: &mut dyn FnMut(SocketAddr, &MasterPaths),
) -> Result<Summary, JobError> {
    let _ = (job, options, sources, sinks, observer, stop, listening);
    Err(ClusterError::NotYet { what: "run as a master" }.into())
}

/// Runs a worker until the job is over or it has left. `stop` makes it hand over what it holds and leave.
///
/// `build` makes the job from what the master ships; `log` may be called from any thread of the worker.
///
/// # Errors
/// When no master will have it, the job cannot be built, or the master is gone.
pub fn serve_worker(
    plan: &'static Plan,
    build: &dyn Fn(&JobSetup) -> Result<BuiltJob, String>,
    options: WorkerOptions,
    log: &dyn Fn(WorkerNews),
    stop: StopHandle,
) -> Result<(), JobError> {
    let _ = (plan, build, options, log, stop);
    Err(ClusterError::NotYet { what: "run as a worker" }.into())
}

/// Asks a running master.
///
/// # Errors
/// When no master answers, or it refuses this process or the question.
pub fn ask(target: &ClientTarget, question: Question) -> Result<Reply, JobError> {
    let _ = (target, question);
    Err(ClusterError::NotYet { what: "ask a master" }.into())
}
