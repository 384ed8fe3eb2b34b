//! Where data enters and leaves: sources and sinks, opened, each on a thread of its own if it may wait.

use std::sync::Arc;
use std::thread::Scope;
use std::time::Duration;

use crossbeam_channel::Sender;

use super::{Intake, Publisher};
use crate::driver::Event;
use crate::driver::error::{JobError, Place};
use crate::exec::job::BuiltJob;
use crate::exec::task::OutputSetting;
use crate::plan::{OutputRow, Plan};
use crate::record::Format;
use crate::sink::{self, Sink};
use crate::source::Source;

/// What was opened for a job, in the order of its plan.
pub(in crate::driver) struct Opened {
    pub(in crate::driver) sources: Vec<Box<dyn Source>>,
    /// Outputs, and after them those of dead letters.
    pub(in crate::driver) sinks: Vec<Box<dyn Sink>>,
    /// How outputs are encoded, by output.
    pub(in crate::driver) outputs: Vec<OutputSetting>,
    /// Per source the index of the sink of its dead letters.
    pub(in crate::driver) dead_sinks: Vec<Option<usize>>,
    /// For how long a sink that refuses a batch is tried again.
    pub(in crate::driver) patience: Duration,
}

/// Where data enters and leaves.
pub(in crate::driver) struct Ends {
    pub(super) intakes: Vec<Intake>,
    pub(super) live: Vec<bool>,
    /// Which are cut once more when the job is stopped.
    pub(super) drains: Vec<bool>,
    /// Whether an output shows batches without records too.
    pub(super) publishes_empty: bool,
    pub(super) publisher: Publisher,
    pub(super) outputs: Vec<OutputSetting>,
    pub(super) dead_sinks: Vec<Option<usize>>,
}

impl Ends {
    /// Starts the threads of those that need one.
    ///
    /// # Errors
    /// When there is none to be had.
    pub(in crate::driver) fn start<'scope>(
        scope: &'scope Scope<'scope, '_>,
        plan: &'static Plan,
        partitions: u32,
        opened: Opened,
        events: &Sender<Event>,
    ) -> Result<Self, JobError> {
        let Opened { sources, sinks, outputs, dead_sinks, patience } = opened;
        let thread = |name: String| std::thread::Builder::new().name(name);
        let failed = |what: String| move |error| JobError::Thread { what, error: Arc::new(error) };
        let live = sources.iter().map(|source| !source.bounded()).collect();
        let drains = sources.iter().map(|source| !source.bounded() || source.pipe().is_some());
        let drains = drains.collect();
        let mut intakes = Vec::with_capacity(sources.len());
        for (row, source) in plan.sources.iter().zip(sources) {
            let spawn = |serve| {
                let name = format!("dstream-in-{}", row.name);
                thread(name).spawn_scoped(scope, serve).map(drop)
            };
            let intake = Intake::new(row.id, source, partitions as usize, events.clone(), spawn);
            intakes.push(intake.map_err(failed(format!("source `{}`", row.name)))?);
        }
        let publishes_empty = sinks.iter().any(|sink| sink.publishes_empty());
        let spawn = |serve| thread("dstream-publish".into()).spawn_scoped(scope, serve).map(drop);
        let publisher = Publisher::new(sinks, patience, events.clone(), spawn);
        let publisher = publisher.map_err(failed("the outputs".into()))?;
        Ok(Self { intakes, live, drains, publishes_empty, publisher, outputs, dead_sinks })
    }
}

/// Whether as many sources and outputs were opened as the job has.
///
/// # Errors
/// When they were not.
pub(in crate::driver) fn check(
    job: &BuiltJob,
    sources: usize,
    sinks: usize,
) -> Result<(), JobError> {
    let plan = job.plan;
    for (what, expected, given) in [
        ("sources", plan.sources.len(), sources),
        ("outputs", plan.outputs.len(), sinks),
        ("stages", plan.stages.len(), job.stages.len()),
    ] {
        if expected != given {
            return Err(JobError::Mismatch { what, expected, given });
        }
    }
    Ok(())
}

/// The name of a sink's output, and where the program defines it.
pub(super) fn place(
    plan: &'static Plan,
    dead_sinks: &[Option<usize>],
    sink: usize,
) -> (String, Place) {
    if let Some(row) = plan.outputs.get(sink) {
        return (row.name.to_owned(), Place::operator(plan, row.operator));
    }
    let source = dead_sinks.iter().position(|of| *of == Some(sink));
    match source.and_then(|source| plan.sources.get(source)) {
        Some(row) => (format!("{}.dead", row.name), Place::operator(plan, row.operator)),
        None => (format!("sink {sink}"), Place::job(plan)),
    }
}

/// An output of `print` is cut short only while it is printed: bound to a sink it is written whole.
fn print_limit(job: &BuiltJob, index: usize, row: &OutputRow) -> Option<u32> {
    let printed = job.outputs.get(index).is_none_or(|output| output.url == sink::PRINT);
    row.print.filter(|_| printed)
}

/// How outputs are to be encoded.
pub(in crate::driver) fn output_settings(
    job: &BuiltJob,
    sinks: &[Box<dyn Sink>],
    preview: u32,
) -> Vec<OutputSetting> {
    let rows = job.plan.outputs.iter().zip(sinks).enumerate();
    rows.map(|(index, (row, sink))| {
        let url = job.outputs.get(index).map_or("", |output| output.url.as_str());
        let format = sink.format();
        OutputSetting {
            format,
            rows: format.is_none() && url == sink::FUNCTION,
            limit: print_limit(job, index, row),
            preview,
            dialect: sink::dialect(url),
            floats: sink::floats(url).unwrap_or_else(|| sink.floats()),
        }
    })
    .collect()
}

/// Adds the outputs of dead letters to the sinks; per source the index of its own.
///
/// # Errors
/// When one writes another format than theirs.
pub(in crate::driver) fn dead_sinks(
    plan: &Plan,
    dead_letters: Vec<Option<Box<dyn Sink>>>,
    sinks: &mut Vec<Box<dyn Sink>>,
) -> Result<Vec<Option<usize>>, JobError> {
    let mut dead_sinks = vec![None; plan.sources.len()];
    for ((sink, slot), row) in dead_letters.into_iter().zip(&mut dead_sinks).zip(plan.sources) {
        let Some(sink) = sink else { continue };
        if let Some(format @ (Format::Csv | Format::Text)) = sink.format() {
            return Err(JobError::DeadLetters { name: row.name.to_owned(), format });
        }
        *slot = Some(sinks.len());
        sinks.push(sink);
    }
    Ok(dead_sinks)
}
