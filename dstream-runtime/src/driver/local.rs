//! A job in one process: one engine thread owns a master and a worker and passes their messages on at
//! once; executor threads run tasks; sources and sinks that may wait have threads of their own.
//!
//! The engine thread never runs a task that may take long and never waits for anything but the next
//! event. Tasks that read nothing and are known to be done in microseconds it runs itself: waking
//! another thread for them would take longer. All that is queued is bounded by the number of
//! batches in flight.

use std::path::PathBuf;
use std::time::Duration;

use crossbeam_channel::unbounded;

use super::error::JobError;
use super::master::{
    self, Before, Ends, Master, Opened, Settings, check, dead_sinks, output_settings,
};
use super::report::{Observer, Summary};
use super::stop::StopHandle;
use super::worker::task::Kernels;
use super::worker::{Asks, Queue, Worker, start_executors};
use super::{AT_ONCE, Budget, CloseOnDrop, Event, Inbox};
use crate::block::BufferPool;
use crate::exec::job::BuiltJob;
use crate::host;
use crate::id::{BatchSeq, WorkerId};
use crate::plan::Plan;
use crate::sched::{MasterEvent, Retention};
use crate::sink::Sink;
use crate::source::Source;
use crate::store::{BlockStore, StoreOptions};

/// How often a worker that waits for room looks whether there is some.
const LOOK: Duration = Duration::from_millis(50);

/// The only worker.
const HERE: WorkerId = WorkerId(0);

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
    /// Long enough for somebody's script to make room on a disk, or a file system to be mounted again; short
    /// enough that whoever looks after the job hears of it soon.
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

/// Runs a job to its end: that of its sources, a stop, or a failure.
///
/// `inputs` are its opened sources and `sinks` its opened outputs, in the order of the plan.
///
/// # Errors
/// When a task, a source or an output failed. All batches before that were published.
pub fn run(
    job: BuiltJob,
    mut config: LocalConfig,
    inputs: Vec<Box<dyn Source>>,
    mut sinks: Vec<Box<dyn Sink>>,
    observer: &mut dyn Observer,
    stop: StopHandle,
) -> Result<Summary, JobError> {
    let plan = job.plan;
    check(&job, inputs.len(), sinks.len())?;
    config.partitions = config.partitions.max(1);
    let budget = Budget::new(config.memory);
    let kernels = Kernels {
        outputs: output_settings(&job, &sinks, config.preview),
        stages: job.stages,
        buffers: BufferPool::new(budget.buffers()),
        blocks: BlockStore::new(StoreOptions::new(budget.blocks(), &config.spill)),
        partitions: config.partitions,
    };
    let dead = std::mem::take(&mut config.dead_letters);
    let dead_sinks = dead_sinks(plan, dead, &mut sinks)?;
    let live = inputs.iter().any(|source| !source.bounded());
    Before::of(plan, live, &sinks, &dead_sinks)?.check_anew(false)?;

    let (sender, events) = unbounded();
    let queue = Queue::default();
    let result = std::thread::scope(|scope| {
        // However this scope is left, no executor must wait for ever.
        let _close = CloseOnDrop(&queue);
        start_executors(scope, config.cores, &queue, &kernels, &sender)?;
        let outputs = kernels.outputs.clone();
        let patience = config.patience;
        let opened = Opened { sources: inputs, sinks, outputs, dead_sinks, patience };
        let ends = Ends::start(scope, plan, config.partitions, opened, &sender)?;
        let stop_now = stop.connect(sender.clone());
        let engine = Engine::new(plan, &kernels, &queue, config, ends, observer)?;
        engine.run(&Inbox::new(events), stop_now)
    });
    stop.disconnect();
    result
}

/// A master and a worker that hear each other at once.
struct Engine<'e> {
    master: Master<'e>,
    worker: Worker<'e>,
}

impl<'e> Engine<'e> {
    fn new(
        plan: &'static Plan,
        kernels: &'e Kernels,
        queue: &'e Queue,
        config: LocalConfig,
        ends: Ends,
        observer: &'e mut dyn Observer,
    ) -> Result<Self, JobError> {
        let settings = Settings {
            partitions: config.partitions,
            in_flight: config.in_flight,
            attempts: config.attempts,
            workers: 1,
            lease: None,
            checkpoint: None,
            speculate: false,
            interval: config.interval,
            batch_bytes: Budget::new(config.memory).batch(),
            preview: config.preview,
            completes_stop: false,
            until: None,
        };
        let first = BatchSeq(1);
        let (slots, retention) = (config.cores as u32, Retention::Consumed);
        let worker = Worker::new(HERE, plan, kernels, queue, slots, retention, first);
        let master = Master::new(plan, settings, ends, observer, None)?;
        Ok(Self { master, worker })
    }

    /// Runs the job to its end.
    fn run(mut self, events: &Inbox, stop: bool) -> Result<Summary, JobError> {
        if stop {
            self.master.handle(MasterEvent::Stop);
        }
        loop {
            self.turn();
            if let Some(outcome) = self.master.take_outcome() {
                return self.master.end(outcome);
            }
            let timer = self.master.timer();
            let look = self.worker.waits_for_room().then(|| host::now() + LOOK);
            let until = [timer, look].into_iter().flatten().min();
            match events.next(until) {
                Some(event) => self.happened(event),
                None if until == timer => self.master.tick(),
                None => {}
            }
            // Whatever else has happened meanwhile is acted upon at once.
            for event in std::iter::from_fn(|| events.ready()).take(AT_ONCE) {
                self.happened(event);
            }
        }
    }

    fn happened(&mut self, event: Event) {
        match event {
            Event::Ran(ran) => self.worker.ran(ran),
            Event::Cut { batch, source, answer } => self.master.cut(batch, source, answer),
            Event::Published { batch, result } => self.master.published(batch, result),
            Event::Refused { batch, refused } => self.master.refused(batch, refused),
            Event::Stop => self.master.handle(MasterEvent::Stop),
            // Nobody else is there to be heard.
            Event::Net(_)
            | Event::Received(..)
            | Event::Saved(..)
            | Event::Ingest(_)
            | Event::Loaded(..)
            | Event::Journal(_)
            | Event::Savepoint(_)
            | Event::Ended { .. } => {}
        }
    }

    /// Does everything that there is to do without waiting.
    fn turn(&mut self) {
        self.worker.begin_turn();
        loop {
            while let Some(asks) = self.worker.poll() {
                self.worker_asks(asks);
            }
            if let Some(asks) = self.master.poll() {
                match asks {
                    master::Asks::Tell(_, message) => self.worker.master_said(message),
                    // The only worker stays.
                    master::Asks::Admit(_)
                    | master::Asks::Dismiss(_)
                    | master::Asks::Evict(..)
                    | master::Asks::Refuse(..)
                    | master::Asks::Slow(..)
                    | master::Asks::Weights(..)
                    | master::Asks::Obsolete(_) => {}
                }
                continue;
            }
            if !self.worker.run_light() {
                return;
            }
        }
    }

    fn worker_asks(&mut self, asks: Asks) {
        match asks {
            Asks::Read(run) => {
                let input = self.master.input(run.task);
                self.worker.start(run, input);
            }
            Asks::Report(message, leaving) => self.master.worker_said(HERE, message, leaving),
            // There is nobody else.
            Asks::Tell(..) | Asks::Move { .. } | Asks::Save { .. } | Asks::Load { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests;
