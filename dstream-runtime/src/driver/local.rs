//! A job in one process that no other process reaches: a master on the caller's thread and a worker on a thread of its
//! own, which speak by memory.
//!
//! It decides nothing: it starts the two, waits for both, and says which of them was the cause of a failure. With
//! [`Kept`] the master writes its journal and the worker saves states, and another engine of this process goes on
//! from there; without, nothing is written and the job begins anew each time.

use std::cell::Cell;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, ScopedJoinHandle};
use std::time::Duration;

use super::Budget;
use super::cluster::{
    ClusterError, Ingest, JobSetup, MasterOptions, Reach, SourceWays, WorkerOptions, master, worker,
};
use super::error::JobError;
use super::report::{BatchReport, Observer, Summary};
use super::stop::StopHandle;
use crate::durable::Durable;
use crate::exec::job::BuiltJob;
use crate::exec::task::DeadLetter;
use crate::id::BatchSeq;
use crate::net::MemoryNetwork;
use crate::sink::Sink;
use crate::source::Source;
use crate::store::StoreOptions;

/// The name of the worker.
const NAME: &str = "w1";

/// How a job runs in one process.
pub struct LocalConfig {
    /// Number of partitions.
    pub partitions: u32,
    /// Number of executor threads.
    pub cores: usize,
    /// How many batches may be in flight: it bounds memory, and lets input be read ahead.
    pub in_flight: u32,
    /// How much memory it uses for what grows with the input, in bytes.
    pub memory: u64,
    /// The directory for blocks that do not fit into memory; made when it is needed.
    pub spill: PathBuf,
    /// How often a task is run before the job gives up.
    pub attempts: u32,
    /// For how long an output that refuses a batch is tried again before the job gives up.
    pub patience: Duration,
    /// The batch interval, if it is not the plan's.
    pub interval: Option<Duration>,
    /// How many records of each output and batch are shown to the observer.
    pub preview: u32,
    /// Per source the output of its dead letters, if it has one, which gets JSON lines; may be
    /// shorter than the list of sources.
    pub dead_letters: Vec<Option<Box<dyn Sink>>>,
}

impl LocalConfig {
    /// Long enough for a script to make room on a disk, or a file system to be mounted again; short enough that the
    /// operator of the job hears of it soon.
    pub const PATIENCE: Duration = Duration::from_secs(30);
}

impl Default for LocalConfig {
    fn default() -> Self {
        Self {
            partitions: 16,
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            in_flight: 4,
            memory: StoreOptions::MEMORY,
            spill: StoreOptions::dir(),
            attempts: 3,
            patience: Self::PATIENCE,
            interval: None,
            preview: 0,
            dead_letters: Vec::new(),
        }
    }
}

/// What is kept of a job for the next engine.
pub(crate) struct Kept {
    /// Where.
    pub(crate) store: Durable,
    /// About how often states are saved.
    pub(crate) every: Duration,
    /// The engine ends after this batch, and leaves the job to the next one.
    pub(crate) until: Option<BatchSeq>,
}

/// Runs a job to its end: that of its sources, a stop, or a failure. Nothing is kept of it: it begins anew each time.
///
/// `inputs` are its opened sources and `sinks` its opened outputs, in the order of the plan.
///
/// # Errors
/// When a task, a source or an output failed. All batches before that were published.
pub fn run(
    job: BuiltJob,
    config: LocalConfig,
    inputs: Vec<Box<dyn Source>>,
    sinks: Vec<Box<dyn Sink>>,
    observer: &mut dyn Observer,
    stop: StopHandle,
) -> Result<Summary, JobError> {
    run_kept(&job, config, None, inputs, sinks, observer, &stop)
}

/// The same, where an engine before has stopped, if one has, and for the one after.
///
/// # Errors
/// As [`run`]; when what is kept is of another job.
pub(crate) fn run_kept(
    job: &BuiltJob,
    config: LocalConfig,
    kept: Option<Kept>,
    inputs: Vec<Box<dyn Source>>,
    sinks: Vec<Box<dyn Sink>>,
    observer: &mut dyn Observer,
    stop: &StopHandle,
) -> Result<Summary, JobError> {
    let (reach, leave) = (Reach::Within(MemoryNetwork::default()), StopHandle::new());
    let (store, spill) = (kept.as_ref().map(|kept| kept.store.clone()), config.spill.clone());
    let (cores, memory) = (config.cores, config.memory);
    let options = master_options(job, config, kept, reach.clone());
    let observer = &mut Alone(observer);
    thread::scope(|scope| {
        let started: Cell<Option<ScopedJoinHandle<'_, _>>> = Cell::new(None);
        let failed: Cell<Option<JobError>> = Cell::new(None);
        let ready = &mut |master| {
            let (reach, durable) = (reach.clone(), store.clone());
            let options = worker_options(master, reach, durable, (cores, memory), spill.clone());
            let (leave, stops) = (leave.clone(), stop.clone());
            let run = move || work(job, &options, &leave, &stops);
            let thread = thread::Builder::new().name("dstream-worker".to_owned());
            match thread.spawn_scoped(scope, run) {
                Ok(handle) => started.set(Some(handle)),
                Err(error) => {
                    let (what, error) = ("the worker".to_owned(), Arc::new(error));
                    failed.set(Some(JobError::Thread { what, error }));
                    stop.stop();
                }
            }
        };
        let done = master::serve(job.clone(), options, inputs, sinks, observer, stop, ready);
        leave.stop();
        match started.take().map(ScopedJoinHandle::join) {
            Some(Ok(Ok(()))) | None => {}
            Some(Ok(Err(error))) => failed.set(Some(error)),
            Some(Err(panic)) => resume_unwind(panic),
        }
        failed.take().map_or(done, Err)
    })
}

/// Runs the worker to its end. An error is one that does not follow from the master's end.
fn work(
    job: &BuiltJob,
    options: &WorkerOptions,
    leave: &StopHandle,
    stop: &StopHandle,
) -> Result<(), JobError> {
    let build = |_: &JobSetup| Ok(job.clone());
    let serve = || worker::serve(job.plan, &build, options, &|_| (), leave);
    let (why, ended) = match catch_unwind(AssertUnwindSafe(serve)) {
        Ok(Ok(())) => return Ok(()),
        // The master says why.
        Ok(Err(JobError::Cluster(error))) if matches!(*error, ClusterError::MasterGone { .. }) => {
            return Ok(());
        }
        Ok(Err(error)) => (error.to_string(), Ok(error)),
        Err(panic) => ("its thread has panicked".to_owned(), Err(panic)),
    };
    // The master waits for no other.
    stop.worker_ended(NAME, &why);
    stop.stop();
    ended.map_or_else(|panic| resume_unwind(panic), Err)
}

fn master_options(
    job: &BuiltJob,
    config: LocalConfig,
    kept: Option<Kept>,
    reach: Reach,
) -> MasterOptions {
    let interval = config.interval.map_or(job.plan.interval_ms, |i| i.as_millis() as u64);
    let (durable, checkpoint, until) = match kept {
        Some(Kept { store, every, until }) => (Some(store), Some(every), until),
        None => (None, None, None),
    };
    MasterOptions {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        public: false,
        bulk_port: 0,
        reach,
        state: PathBuf::new(),
        store: None,
        durable,
        batch_bytes: Budget::new(config.memory).batch(),
        until,
        workers: 1,
        lease: MasterOptions::LEASE,
        checkpoint,
        ingest: Ingest::Memory,
        from: None,
        accept_loss: false,
        ways: SourceWays::default(),
        speculate: false,
        standby: false,
        leaves_job: false,
        setup: JobSetup {
            partitions: config.partitions,
            interval_ms: interval,
            preview: config.preview,
            ..JobSetup::default()
        },
        pushed: Vec::new(),
        in_flight: config.in_flight,
        attempts: config.attempts,
        patience: config.patience,
        dead_letters: config.dead_letters,
    }
}

fn worker_options(
    master: SocketAddr,
    reach: Reach,
    durable: Option<Durable>,
    (cores, memory): (usize, u64),
    spill: PathBuf,
) -> WorkerOptions {
    WorkerOptions {
        master: vec![master],
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        public: false,
        bulk_port: 0,
        reach,
        token: None,
        identity: PathBuf::new(),
        spill,
        name: NAME.to_owned(),
        keeps_name: true,
        cores,
        memory,
        durable,
    }
}

/// An observer of a job that has no other process: it hears nothing of a cluster.
struct Alone<'o>(&'o mut dyn Observer);

impl Observer for Alone<'_> {
    fn on_batch(&mut self, report: &BatchReport<'_>) {
        self.0.on_batch(report);
    }

    fn on_dead_letters(&mut self, source: &str, letters: &[DeadLetter]) {
        self.0.on_dead_letters(source, letters);
    }

    fn on_failed(&mut self, summary: &Summary) {
        self.0.on_failed(summary);
    }

    fn on_warning(&mut self, message: &str) {
        self.0.on_warning(message);
    }
}

#[cfg(test)]
mod tests;
