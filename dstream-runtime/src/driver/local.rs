//! A job in one process: one engine thread owns both cores and passes their messages on at once;
//! executor threads run tasks; sources and sinks that may wait have threads of their own.
//!
//! The engine thread never runs a task that may take long and never waits for anything but the next
//! event. Tasks that read nothing and are known to be done in microseconds it runs itself: waking
//! another thread for them would take longer. All that is queued is bounded by the number of
//! batches in flight.

mod clock;
mod engine;
mod lateness;
mod light;
mod totals;

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::unbounded;

use self::engine::{Ends, Engine};
use super::error::JobError;
use super::executor::Queue;
use super::intake::{CutError, Intake};
use super::publish::{PublishError, Publisher};
use super::report::{Observer, Savepoint, Summary};
use super::stop::StopHandle;
use super::task::{Kernels, Ran, run as run_task};
use crate::block::BufferPool;
use crate::exec::job::BuiltJob;
use crate::exec::task::OutputSetting;
use crate::id::{BatchSeq, SourceId};
use crate::plan::OutputRow;
use crate::record::Format;
use crate::sink::{self, Sink};
use crate::source::{Cut, Source};

/// How a job runs in one process.
pub struct LocalConfig {
    /// Number of partitions.
    pub partitions: u32,
    /// Number of executor threads.
    pub cores: usize,
    /// How many batches may be in flight: it bounds memory, and lets input be read ahead.
    pub in_flight: u32,
    /// How often a task is run before the job gives up.
    pub attempts: u32,
    /// The batch interval, if it is not the plan's.
    pub interval: Option<Duration>,
    /// How many records of each output and batch are shown to the observer.
    pub preview: u32,
    /// Whether the summary is to hold a savepoint.
    pub savepoint: bool,
    /// Where to start from.
    pub from: Option<Savepoint>,
    /// Per source the output of its dead letters, if it has one, which gets JSON lines; may be
    /// shorter than the list of sources.
    pub dead_letters: Vec<Option<Box<dyn Sink>>>,
}

impl Default for LocalConfig {
    fn default() -> Self {
        Self {
            partitions: 16,
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            in_flight: 4,
            attempts: 3,
            interval: None,
            preview: 0,
            savepoint: false,
            from: None,
            dead_letters: Vec::new(),
        }
    }
}

/// An output of `print` is cut short only while it is printed: bound to a sink it is written whole.
fn limit(job: &BuiltJob, index: usize, row: &OutputRow) -> Option<u32> {
    let printed = job.outputs.get(index).is_none_or(|output| output.url == sink::PRINT);
    row.print.filter(|_| printed)
}

/// How many bytes of buffers are kept to be used again: those of the batches in flight, as a rule.
const BUFFERS_KEPT: usize = 256 << 20;

/// What happened, from whatever thread.
pub(super) enum Event {
    /// A task has run on an executor.
    Ran(Ran),
    /// A source has answered.
    Cut { batch: BatchSeq, source: SourceId, result: Result<Cut, CutError> },
    /// The sinks have a batch, or the one at an index has refused it.
    Published { batch: BatchSeq, result: Result<(), (usize, PublishError)> },
    /// The job is to stop.
    Stop,
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
    let mismatch = |what, expected, given| JobError::Mismatch { what, expected, given };
    if inputs.len() != plan.sources.len() {
        return Err(mismatch("sources", plan.sources.len(), inputs.len()));
    }
    if sinks.len() != plan.outputs.len() {
        return Err(mismatch("outputs", plan.outputs.len(), sinks.len()));
    }
    if job.stages.len() != plan.stages.len() {
        return Err(mismatch("stages", plan.stages.len(), job.stages.len()));
    }
    config.partitions = config.partitions.max(1);
    let kernels = Kernels {
        outputs: plan
            .outputs
            .iter()
            .zip(&sinks)
            .enumerate()
            .map(|(index, (row, sink))| OutputSetting {
                format: sink.format(),
                limit: limit(&job, index, row),
                preview: config.preview,
            })
            .collect(),
        stages: job.stages,
        buffers: BufferPool::new(BUFFERS_KEPT),
        partitions: config.partitions,
    };
    let mut dead_sinks = vec![None; plan.sources.len()];
    let dead = std::mem::take(&mut config.dead_letters).into_iter();
    for ((sink, slot), row) in dead.zip(&mut dead_sinks).zip(plan.sources) {
        let Some(sink) = sink else { continue };
        if let Some(format @ (Format::Csv | Format::Text)) = sink.format() {
            return Err(JobError::DeadLetters { name: row.name.to_owned(), format });
        }
        *slot = Some(sinks.len());
        sinks.push(sink);
    }

    let (sender, events) = unbounded();
    let queue = Queue::default();
    let thread = |name: String| std::thread::Builder::new().name(name);
    let failed = |what: String| move |error| JobError::Thread { what, error: Arc::new(error) };
    let result = std::thread::scope(|scope| {
        // However this scope is left, no executor must wait for ever.
        let _close = CloseOnDrop(&queue);
        for core in 0..config.cores.max(1) {
            let (queue, kernels, sender) = (&queue, &kernels, sender.clone());
            let serve = move || {
                while let Some(work) = queue.take() {
                    if sender.send(Event::Ran(run_task(kernels, work))).is_err() {
                        return;
                    }
                }
            };
            let started = thread(format!("dstream-exec-{core}")).spawn_scoped(scope, serve);
            started.map_err(failed(format!("executor {core}")))?;
        }
        let live = inputs.iter().map(|source| !source.bounded()).collect();
        let mut intakes = Vec::with_capacity(inputs.len());
        for (row, source) in plan.sources.iter().zip(inputs) {
            let partitions = config.partitions as usize;
            let spawn = |serve| {
                let name = format!("dstream-in-{}", row.name);
                thread(name).spawn_scoped(scope, serve).map(drop)
            };
            let intake = Intake::new(row.id, source, partitions, sender.clone(), spawn);
            intakes.push(intake.map_err(failed(format!("source `{}`", row.name)))?);
        }
        let spawn = |serve| thread("dstream-publish".into()).spawn_scoped(scope, serve).map(drop);
        let publisher = Publisher::new(sinks, sender.clone(), spawn);
        let publisher = publisher.map_err(failed("the outputs".into()))?;
        let ends = Ends { intakes, live, publisher, dead_sinks };
        let stop_now = stop.connect(sender.clone());
        let engine = Engine::new(plan, &kernels, &queue, config, ends, observer)?;
        engine.run(&events, stop_now)
    });
    stop.disconnect();
    result
}

struct CloseOnDrop<'q>(&'q Queue);

impl Drop for CloseOnDrop<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

#[cfg(test)]
mod tests;
