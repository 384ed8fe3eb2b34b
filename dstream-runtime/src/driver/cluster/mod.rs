//! A job on several processes: what its drivers are told, what they say, and the doors to them.
//!
//! Everything here is plain data. What a process is to do arrives as options ([`MasterOptions`], [`WorkerOptions`],
//! [`ClientTarget`]); what happens is reported as news ([`ClusterNews`], [`WorkerNews`]) and, on request, as a
//! [`ClusterStatus`]. Nothing here reads a command line or writes to a terminal: that is [`cli`](crate::cli)'s.

mod arrivals;
mod ask;
mod client;
mod error;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
pub(super) mod master;
mod news;
mod note;
mod paths;
mod raw;
mod setup;
#[cfg(test)]
mod simulation;
mod standby;
mod status;
mod transfers;
pub(super) mod worker;

pub(crate) use client::identity as client_identity;

pub(super) use self::master::lost;
#[cfg(test)]
pub(crate) use self::master::{Earlier, Listens, Losses, Receivers, Returns};
pub(crate) use self::worker::logs;
#[cfg(test)]
pub(crate) use self::worker::node;
pub(super) use self::worker::{IngestEvent, Loaded, Tip};
pub use ask::{Access, Acknowledged, ClientTarget, Question, Reply, SavepointReport};
pub use error::ClusterError;
pub use news::{ClusterNews, WorkerNews};
pub use paths::{MasterFile, MasterPaths};
pub use setup::{Ingest, IngestStore, JobSetup, MasterOptions, Reach, SourceWays, WorkerOptions};
pub use standby::{StandbyNews, is_over, stand_by};
pub use status::{
    BatchStatus, ClusterStatus, OutputStatus, Phase, PublishedStatus, ReceiverStatus,
    RefusedStatus, SourceStatus, Standing, UnsavedStatus, WorkerStatus,
};

use std::io::Read;
use std::net::SocketAddr;
use std::time::Duration;

use super::error::JobError;
use super::report::{Observer, Summary};
use super::stop::StopHandle;
use crate::exec::job::BuiltJob;
use crate::plan::Plan;
use crate::sink::Sink;
use crate::source::Source;

/// So long workers that were there with another master, or are gone, may come and say what they hold.
const GRACE: Duration = Duration::from_secs(30);

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
    let paths = MasterPaths::new(&options.state);
    let ready = &mut |addr| listening(addr, &paths);
    master::serve(job, options, sources, sinks, observer, &stop, ready)
}

/// Runs a worker until the job is over or it has left. `stop` makes it hand over what it holds and leave.
///
/// `build` makes the job from what the master ships; `log` is called on the calling thread.
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
    worker::serve(plan, build, &options, log, &stop)
}

/// Asks a running master.
///
/// # Errors
/// When no master answers, or it refuses this process or the question.
pub fn ask(target: &ClientTarget, question: Question) -> Result<Reply, JobError> {
    Ok(client::ask(target, &question)?)
}

/// Sends whole lines to a stream of a running job until `input` ends, and waits until all of them are
/// acknowledged. `progress` hears of acknowledgements on the way.
///
/// # Errors
/// When no master or receiver answers, the stream takes no pushed records, or `input` cannot be read.
pub fn send(
    target: &ClientTarget,
    stream: &str,
    input: (&str, &mut dyn Read),
    progress: &mut dyn FnMut(&Acknowledged),
) -> Result<Acknowledged, JobError> {
    let sent = crate::client::send(target, stream, input, progress);
    sent.map_err(|error| ClusterError::from(error).into())
}
