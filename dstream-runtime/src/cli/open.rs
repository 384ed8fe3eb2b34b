//! What a command line opens: the job itself, its inputs, its outputs, and the places of its dead
//! letters.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};

use super::Failed;
use super::args::{EngineArgs, Invocation, bindings};
use super::history;
use super::show::{Speaker, Told, count};
use crate::driver::Budget;
use crate::driver::cluster::JobSetup;
use crate::exec::job::{BuiltJob, OutputSpec, SourceSpec};
use crate::plan::{OutputRow, Plan, SourceRow, StateKind, StateRow};
use crate::record::Schema;
use crate::sink::{self, Sink, SinkError};
use crate::source::receive::{PushSource, is_pushed};
use crate::source::{self, OneBatch, OpenOptions, Source, SourceError};

/// A job with everything open that it reads and writes.
pub(super) struct Opened {
    pub plan: &'static Plan,
    pub built: BuiltJob,
    pub sources: Vec<Box<dyn Source>>,
    /// Per source, whether workers receive what is pushed for it.
    pub pushed: Vec<Option<PushSource>>,
    pub sinks: Vec<Box<dyn Sink>>,
    /// Per source, where its dead letters go.
    pub dead_letters: Vec<Option<Box<dyn Sink>>>,
    /// What workers would be told.
    pub setup: JobSetup,
    /// Whether it ends only when it is told to.
    pub live: bool,
}

/// Opens the job; one with workers leaves it to them to receive what is pushed.
pub(super) fn open(invocation: &Invocation<'_>, workers: bool) -> Result<Opened, Failed> {
    let Invocation { job, engine, matches, .. } = invocation;
    let plan = job.plan();
    check_interval(plan, engine)?;
    let bindings = bindings(plan, engine).map_err(Failed::Usage)?;
    let params = job.params_json(matches).map_err(|error| Failed::Usage(error.to_string()))?;
    // A job in one process is built from the same text as one on a cluster, and so computes the same.
    let built = job.build_from(&params, bindings.clone()).map_err(Failed::Usage)?;
    let options = OpenOptions { interval: interval(plan, engine), ..OpenOptions::default() };
    let options = match workers {
        true => options,
        false => within(options, &built, invocation.cluster.memory),
    };
    let (sources, pushed) = open_sources(&built, &options, workers)?;
    // Before anything is written.
    let sources = check_history(&built, sources)?;
    let outlets = Outlets::new(invocation);
    let sinks = open_sinks(&built, &outlets)?;
    let open_dead = |source: &SourceRow| {
        let name = format!("{}.dead", source.name);
        bindings.sinks.get(&name).map(|url| outlets.open(url, &name)).transpose()
    };
    let dead_letters = plan.sources.iter().map(open_dead).collect::<Result<Vec<_>, _>>()?;
    let setup = JobSetup {
        params,
        sources: bindings.sources,
        sinks: bindings.sinks,
        saves: None,
        base: std::env::current_dir().unwrap_or_default(),
        partitions: engine.partitions,
        interval_ms: interval(plan, engine).as_millis() as u64,
        preview: 0,
        formats: sinks.iter().map(|sink| sink.format()).collect(),
    };
    let live = sources.iter().any(|source| !source.bounded());
    Ok(Opened { plan, built, sources, pushed, sinks, dead_letters, setup, live })
}

impl Opened {
    /// Where sources listen, for people who gave port 0.
    pub(super) fn addresses(&self) -> Vec<Option<SocketAddr>> {
        self.sources.iter().map(|source| source.local_addr()).collect()
    }

    /// Where outputs go, those of dead letters included, by name.
    pub(super) fn outlets(&self) -> Vec<(String, String)> {
        let outputs = self.plan.outputs.iter().zip(&self.built.outputs);
        let outputs = outputs.map(|(row, spec)| (row.name.to_owned(), spec.url.clone()));
        let dead = self.plan.sources.iter().filter_map(|row| {
            let name = format!("{}.dead", row.name);
            let url = self.setup.sinks.get(&name)?.clone();
            Some((name, url))
        });
        outputs.chain(dead).collect()
    }

    /// Whether results come to standard output: they must not run into a display that moves.
    pub(super) fn prints(&self) -> bool {
        let stdout =
            |output: &OutputSpec| output.url == sink::PRINT || output.url.contains("stdout:");
        self.built.outputs.iter().any(stdout)
    }
}

fn interval(plan: &Plan, engine: &EngineArgs) -> Duration {
    engine.interval.unwrap_or(Duration::from_millis(plan.interval_ms))
}

/// Windows are counted in batches, so their batches must keep their length.
fn check_interval(plan: &Plan, engine: &EngineArgs) -> Result<(), Failed> {
    let panes = |state: &StateRow| matches!(state.kind, StateKind::Panes { .. });
    let window = plan.stages.iter().find(|stage| stage.state.as_ref().is_some_and(panes));
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

/// Sources, and which of them workers receive for if there are any.
type Sources = (Vec<Box<dyn Source>>, Vec<Option<PushSource>>);

/// What this process receives itself is within its memory.
fn within(options: OpenOptions, job: &BuiltJob, memory: u64) -> OpenOptions {
    let pushed = job.sources.iter().filter(|spec| is_pushed(&spec.url).unwrap_or(false));
    OpenOptions { memory: Budget::new(memory).receiver(pushed.count()), ..options }
}

fn open_sources(job: &BuiltJob, options: &OpenOptions, workers: bool) -> Result<Sources, Failed> {
    let open = |(row, spec): (&SourceRow, &SourceSpec)| {
        let header_default = matches!(spec.schema, Schema::Struct { .. });
        let (schema, check) = (Some(spec.schema), Some(spec.check));
        let options = OpenOptions { header_default, schema, check, ..options.clone() };
        let opened = || -> Result<(Box<dyn Source>, Option<PushSource>), SourceError> {
            if workers && is_pushed(&spec.url)? {
                let pushed = PushSource::open(&spec.url, row.id)?;
                return Ok((Box::new(pushed.clone()), Some(pushed)));
            }
            Ok((source::open(&spec.url, spec.format, &options)?, None))
        };
        opened().map_err(|error| {
            let message = format!("source `{}`: {error}", row.name);
            match error {
                SourceError::Url { .. } => Failed::Usage(message),
                _ => Failed::Job(message),
            }
        })
    };
    job.plan.sources.iter().zip(&job.sources).map(open).collect()
}

/// Refuses operators that have no meaning over what is read to its end.
fn check_history(
    job: &BuiltJob,
    sources: Vec<Box<dyn Source>>,
) -> Result<Vec<Box<dyn Source>>, Failed> {
    let mut inputs = Vec::with_capacity(sources.len());
    for (spec, source) in job.sources.iter().zip(&sources) {
        let batching = source::batching(&spec.url);
        let batching = batching.map_err(|error| Failed::Usage(error.to_string()))?;
        inputs.push(history::Input { url: &spec.url, timed: source.timed(), batching });
    }
    let whole = history::check(job.plan, &job.outputs, &inputs).map_err(Failed::Usage)?;
    let guarded = |(source, why): (Box<dyn Source>, Option<String>)| match why {
        Some(why) => Box::new(OneBatch::new(source, why)) as Box<dyn Source>,
        None => source,
    };
    Ok(sources.into_iter().zip(whole).map(guarded).collect())
}

fn open_sinks(job: &BuiltJob, outlets: &Outlets) -> Result<Vec<Box<dyn Sink>>, Failed> {
    let open = |(row, spec): (&OutputRow, &OutputSpec)| outlets.open(&spec.url, row.name);
    job.plan.outputs.iter().zip(&job.outputs).map(open).collect()
}

/// How outputs are opened.
struct Outlets {
    options: sink::Options,
    /// Whether what the job published there before is taken away.
    overwrite: bool,
    speaker: Speaker,
}

impl Outlets {
    fn new(invocation: &Invocation<'_>) -> Self {
        let job = invocation.job.plan().job.to_owned();
        Self {
            options: sink::Options { job, ..sink::Options::default() },
            overwrite: invocation.engine.overwrite,
            speaker: Speaker::new(invocation.engine.log),
        }
    }

    fn open(&self, url: &str, name: &str) -> Result<Box<dyn Sink>, Failed> {
        self.opened(url, name).map_err(|error| {
            let message = format!("output `{name}`: {error}");
            match error {
                SinkError::Url { .. } => Failed::Usage(message),
                _ => Failed::Job(message),
            }
        })
    }

    fn opened(&self, url: &str, name: &str) -> Result<Box<dyn Sink>, SinkError> {
        if self.overwrite {
            let removed = sink::remove_earlier(url, name, &self.options)?;
            if removed > 0 {
                self.speaker.tell(&Overwritten { output: name.to_owned(), removed });
            }
        }
        sink::open(url, name, &self.options)
    }
}

/// What an earlier run had published was taken away.
struct Overwritten {
    output: String,
    removed: u64,
}

impl Told for Overwritten {
    fn lines(&self) -> Vec<String> {
        let batches = if self.removed == 1 { "batch" } else { "batches" };
        let (output, removed) = (&self.output, count(self.removed));
        vec![format!(
            "output `{output}`: {removed} {batches} of earlier runs removed (--overwrite)"
        )]
    }

    fn json(&self) -> Value {
        json!({"event": "overwrite", "output": self.output, "batches": self.removed})
    }
}
