//! Runs the job in this process: opens its inputs and outputs, stops on Ctrl-C, says what was done.

use std::io::IsTerminal;

use super::args::{EngineArgs, Invocation, LogFormat, SummaryFormat, bindings};
use super::panel::PREVIEW;
use super::show::{Display, Start};
use super::signals::Signals;
use super::summary;
use crate::driver::{self, JobError, LocalConfig, StopHandle};
use crate::exec::job::BuiltJob;
use crate::plan::Plan;
use crate::record::Schema;
use crate::sink::{self, Sink, SinkError};
use crate::source::{self, OpenOptions, Source, SourceError};

/// Why there is no result.
pub(super) enum Failed {
    /// The command line is wrong, or names what cannot be opened.
    Usage(String),
    /// The job failed.
    Job(String),
}

/// Runs the job to its end.
pub(super) fn run(invocation: &Invocation<'_>) -> Result<(), Failed> {
    let Invocation { job, engine, matches, .. } = invocation;
    let plan = job.plan();
    check_interval(plan, engine)?;
    let bindings = bindings(plan, engine).map_err(Failed::Usage)?;
    let dead_urls: Vec<_> = plan
        .sources
        .iter()
        .map(|source| bindings.sinks.get(&format!("{}.dead", source.name)).cloned())
        .collect();
    let built = job.build(matches, bindings).map_err(|error| Failed::Usage(error.to_string()))?;

    let sources = open_sources(&built, engine)?;
    let sinks = open_sinks(&built)?;
    let open_dead = |(url, source): (&Option<String>, &crate::plan::SourceRow)| {
        let open = |url| open_sink(url, &format!("{}.dead", source.name));
        url.as_deref().map(open).transpose()
    };
    let dead_letters =
        dead_urls.iter().zip(plan.sources).map(open_dead).collect::<Result<Vec<_>, _>>()?;

    let cores = match engine.cores {
        Some(cores) => cores as usize,
        None => std::thread::available_parallelism().map_or(1, usize::from),
    };
    let live = sources.iter().any(|source| !source.bounded());
    let terminal = std::io::stderr().is_terminal()
        && engine.log == LogFormat::Text
        && !prints_to_terminal(&built);
    let start = Start { plan, built: &built, engine, cores, live, addresses: addresses(&sources) };
    let no_signals = |error| Failed::Job(format!("cannot wait for Ctrl-C: {error}"));
    let signals = Signals::catch().map_err(no_signals)?;
    let mut display = Display::start(&start, terminal);
    let stop = StopHandle::new();
    signals.stop(stop.clone(), display.stopping()).map_err(no_signals)?;
    let config = LocalConfig {
        partitions: engine.partitions,
        cores,
        interval: engine.interval,
        preview: if terminal || live { PREVIEW } else { 0 },
        dead_letters,
        ..LocalConfig::default()
    };
    let result = driver::run(built, config, sources, sinks, &mut display, stop);
    display.end();
    match result {
        Ok(done) => {
            match engine.summary {
                SummaryFormat::Text => summary::say(plan, &done, engine.log),
                SummaryFormat::Json => summary::json(plan, &done).map_err(Failed::Job)?,
            }
            Ok(())
        }
        // Whoever read the output has seen enough: `JOB | head`.
        Err(JobError::Output { error: SinkError::Closed { .. }, .. }) => Ok(()),
        Err(error) => Err(Failed::Job(error.to_string())),
    }
}

/// Windows are counted in batches, so their batches must keep their length.
fn check_interval(plan: &Plan, engine: &EngineArgs) -> Result<(), Failed> {
    let window = plan.stages.iter().find(|stage| {
        let panes = |state: &crate::plan::StateRow| {
            matches!(state.kind, crate::plan::StateKind::Panes { .. })
        };
        stage.state.as_ref().is_some_and(panes)
    });
    match (engine.interval, window) {
        (Some(interval), Some(window)) if interval.as_millis() != u128::from(plan.interval_ms) => {
            Err(Failed::Usage(format!(
                "--interval: the windows of `{}` are counted in batches of {} ms; change the interval in the program",
                window.name, plan.interval_ms
            )))
        }
        _ => Ok(()),
    }
}

/// Whether results come to the terminal themselves: they must not run into a display that moves.
fn prints_to_terminal(job: &BuiltJob) -> bool {
    let stdout = |output: &crate::exec::job::OutputSpec| {
        output.url == sink::PRINT || output.url.contains("stdout:")
    };
    std::io::stdout().is_terminal() && job.outputs.iter().any(stdout)
}

fn open_sources(job: &BuiltJob, engine: &EngineArgs) -> Result<Vec<Box<dyn Source>>, Failed> {
    let interval =
        engine.interval.unwrap_or_else(|| std::time::Duration::from_millis(job.plan.interval_ms));
    let open = |(row, spec): (&crate::plan::SourceRow, &crate::exec::job::SourceSpec)| {
        let options =
            OpenOptions { interval, header_default: matches!(spec.schema, Schema::Struct { .. }) };
        source::open(&spec.url, spec.format, &options).map_err(|error| {
            let message = format!("source `{}`: {error}", row.name);
            match error {
                SourceError::Url { .. } => Failed::Usage(message),
                _ => Failed::Job(message),
            }
        })
    };
    job.plan.sources.iter().zip(&job.sources).map(open).collect()
}

fn open_sinks(job: &BuiltJob) -> Result<Vec<Box<dyn Sink>>, Failed> {
    let open = |(row, spec): (&crate::plan::OutputRow, &crate::exec::job::OutputSpec)| {
        open_sink(&spec.url, row.name)
    };
    job.plan.outputs.iter().zip(&job.outputs).map(open).collect()
}

fn open_sink(url: &str, name: &str) -> Result<Box<dyn Sink>, Failed> {
    sink::open(url, name, &sink::Options::default()).map_err(|error| {
        let message = format!("output `{name}`: {error}");
        match error {
            SinkError::Url { .. } => Failed::Usage(message),
            _ => Failed::Job(message),
        }
    })
}

/// Where sources listen, for people who gave port 0.
fn addresses(sources: &[Box<dyn Source>]) -> Vec<Option<std::net::SocketAddr>> {
    sources.iter().map(|source| source.local_addr()).collect()
}
