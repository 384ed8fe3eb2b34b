//! What a command line opens: the job itself, its inputs, its outputs, and the places of its dead
//! letters.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};

use super::Failed;
use super::args::{EngineArgs, Invocation, Role, SummaryFormat, bindings, known_sources};
use super::history;
use super::panel::MAX_PRINT;
use super::show::{Speaker, Told};
use super::words::count;
use crate::driver::Budget;
use crate::driver::cluster::JobSetup;
use crate::exec::job::{BuiltJob, OutputSpec, SourceSpec};
use crate::host::limits;
use crate::plan::{OutputRow, Plan, SourceRow};
use crate::record::Schema;
use crate::sink::{self, Sink, SinkError, Sinks};
use crate::source::receive::{self, PushSource, is_pushed};
use crate::source::{self, OneBatch, OpenOptions, Source, SourceError, Table};

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
    if engine.summary == SummaryFormat::Json {
        super::closed_output(limits::is_open(1))?;
    }
    let bindings = bindings(plan, engine).map_err(Failed::Usage)?;
    let cluster = &invocation.cluster;
    for (option, names) in [("--skip", &cluster.skip), ("--accept-source", &cluster.accept_source)]
    {
        known_sources(plan, option, names).map_err(Failed::Usage)?;
    }
    let params = job.params_json(matches).map_err(|error| Failed::Usage(error.to_string()))?;
    // A job in one process is built from the same text as one on a cluster, and so computes the same.
    let built = job.build_from(&params, bindings.clone()).map_err(Failed::Usage)?;
    let options = OpenOptions { interval: interval(plan, engine), ..OpenOptions::default() };
    let options = match workers {
        true => options,
        false => within(options, &built, invocation.cluster.memory),
    };
    let (sources, pushed) = open_sources(&built, &options, workers)?;
    if workers
        && invocation.cluster.role == Role::Local
        && invocation.cluster.workers.unwrap_or(0) == 0
    {
        // No other worker could listen there.
        check_addresses(&built)?;
    }
    check_pipes(plan, &sources, invocation.cluster.checkpoint.is_some())?;
    // Before anything is written.
    let sources = check_history(&built, sources)?;
    let outlets = Outlets::new(invocation);
    check_places(plan, &built, &bindings.sinks, outlets.sinks)?;
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
        ingest_log: None,
        base: std::env::current_dir().unwrap_or_default(),
        partitions: engine.partitions,
        interval_ms: interval(plan, engine).as_millis() as u64,
        preview: 0,
        outputs: Vec::new(),
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

    /// Whether an output is printed for people.
    pub(super) fn prints(&self) -> bool {
        self.built.outputs.iter().any(|output| output.url == sink::PRINT)
    }

    /// Whether an output is written to standard output, so that nothing else may be drawn there.
    pub(super) fn streams(&self) -> bool {
        let stdout = |url: &String| url.contains("stdout:");
        let outputs = self.built.outputs.iter().map(|output| &output.url);
        outputs.chain(self.setup.sinks.values()).any(stdout)
    }

    /// Leaves what is printed to the display; per output how many records it shows of it.
    pub(super) fn redraw(&mut self) -> Vec<Option<u32>> {
        let outputs = self.built.outputs.iter().zip(self.plan.outputs).zip(&mut self.sinks);
        let shown = |((spec, row), sink): ((&OutputSpec, &OutputRow), &mut Box<dyn Sink>)| {
            let limit = row.print.filter(|_| spec.url == sink::PRINT)?;
            *sink = sink::shown();
            Some(limit.min(MAX_PRINT))
        };
        outputs.map(shown).collect()
    }
}

fn interval(plan: &Plan, engine: &EngineArgs) -> Duration {
    engine.interval.unwrap_or(Duration::from_millis(plan.interval_ms))
}

/// Windows are counted in batches, so their batches must keep their length.
fn check_interval(plan: &Plan, engine: &EngineArgs) -> Result<(), Failed> {
    let window = plan.stages.iter().find(|stage| stage.state.as_ref().is_some_and(|s| s.timed));
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
    OpenOptions { memory: Budget::new(memory).here(pushed.count()), ..options }
}

fn open_sources(job: &BuiltJob, options: &OpenOptions, workers: bool) -> Result<Sources, Failed> {
    let sources = &job.connectors.sources;
    let open = |(row, spec): (&SourceRow, &SourceSpec)| {
        let header_default = matches!(spec.schema, Schema::Struct { .. });
        let (schema, check) = (Some(spec.schema), Some(spec.check));
        let options = OpenOptions { header_default, schema, check, ..options.clone() };
        let opened = || -> Result<(Box<dyn Source>, Option<PushSource>), SourceError> {
            if workers && is_pushed(&spec.url)? {
                sources.check(&spec.url, spec.format)?;
                let pushed = PushSource::open(&spec.url, row.id)?;
                return Ok((Box::new(pushed.clone()), Some(pushed)));
            }
            Ok((sources.open(&spec.url, spec.format, &options)?, None))
        };
        opened().map_err(|error| cannot_open(row.name, &error))
    };
    job.plan.sources.iter().zip(&job.sources).map(open).collect()
}

/// Ends a job whose only worker could not listen: a taken port would be tried again and again.
fn check_addresses(job: &BuiltJob) -> Result<(), Failed> {
    for (row, spec) in job.plan.sources.iter().zip(&job.sources) {
        if is_pushed(&spec.url).unwrap_or(false) {
            receive::can_listen(&spec.url).map_err(|error| cannot_open(row.name, &error))?;
        }
    }
    Ok(())
}

fn cannot_open(name: &str, error: &SourceError) -> Failed {
    let message = format!("source `{name}`: {error}");
    match error {
        SourceError::Url { .. } => Failed::Usage(message),
        SourceError::Io { error, .. } if error.kind() == ErrorKind::AddrInUse => {
            Failed::Job(format!(
                "{message}\n  help: another process listens there: end it, or give the source another address \
                 with --source {name}=URL"
            ))
        }
        _ => Failed::Job(message),
    }
}

/// A pipe can be read by one source, and once.
fn check_pipes(plan: &Plan, sources: &[Box<dyn Source>], restarts: bool) -> Result<(), Failed> {
    let pipes = plan.sources.iter().zip(sources);
    let pipes: Vec<_> =
        pipes.filter_map(|(row, source)| Some((row.name, source.pipe()?))).collect();
    for (index, (name, pipe)) in pipes.iter().enumerate() {
        if let Some((other, _)) = pipes[..index].iter().find(|(_, other)| other == pipe) {
            return Err(Failed::Usage(format!(
                "source `{name}`: {} is read by source `{other}`, and can be read once only\n  help: write it \
                 to a file and give that to both",
                pipe.name
            )));
        }
        if restarts {
            return Err(Failed::Usage(format!(
                "source `{name}`: {} can be read once only, and a job that resumes (--state, --checkpoint) needs \
                 inputs that can be read again\n  help: write it to a file and give that, or leave out --state \
                 and --checkpoint",
                pipe.name
            )));
        }
    }
    Ok(())
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
    let rows = job.plan.sources.iter().zip(&job.sources);
    let guarded = |((source, why), (row, spec)): (_, (&SourceRow, &SourceSpec))| {
        let (source, why): (Box<dyn Source>, Option<String>) = (source, why);
        Ok(match why {
            _ if row.table => {
                let table = Table::of(source, row.name, &spec.url);
                Box::new(
                    table
                        .map_err(|error| Failed::Usage(format!("table `{}`: {error}", row.name)))?,
                ) as Box<dyn Source>
            }
            Some(why) => Box::new(OneBatch::of(source, why)),
            None => source,
        })
    };
    sources.into_iter().zip(whole).zip(rows).map(guarded).collect()
}

/// Two outputs in one directory would take each other's batches for their own.
fn check_places(
    plan: &Plan,
    job: &BuiltJob,
    bound: &BTreeMap<String, String>,
    sinks: &Sinks,
) -> Result<(), Failed> {
    let outputs = plan.outputs.iter().zip(&job.outputs);
    let outputs = outputs.map(|(row, spec)| (row.name.to_owned(), spec.url.as_str()));
    let dead = plan.sources.iter().filter_map(|row| {
        let name = format!("{}.dead", row.name);
        let url = bound.get(&name)?;
        Some((name, url.as_str()))
    });
    let mut places = BTreeMap::new();
    for (name, url) in outputs.chain(dead) {
        let wrong = |error| Failed::Usage(format!("output `{name}`: {error}"));
        let Some(place) = sinks.place(url).map_err(wrong)? else { continue };
        if let Some((other, others)) = places.insert(place.clone(), (name.clone(), url)) {
            return Err(Failed::Usage(format!(
                "outputs `{other}` (`{others}`) and `{name}` (`{url}`) write into the same directory, {}: one's batches \
                 would stand where the other's belong\n  \
                 help: give each a directory of its own, as in --sink {name}=FORMAT+file://{}-{name}",
                place.display(),
                place.display()
            )));
        }
    }
    Ok(())
}

fn open_sinks(job: &BuiltJob, outlets: &Outlets) -> Result<Vec<Box<dyn Sink>>, Failed> {
    let open = |(row, spec): (&OutputRow, &OutputSpec)| match &spec.function {
        Some(function) if spec.url == sink::FUNCTION => Ok(function.sink(job.plan.job, row.name)),
        _ => outlets.open(&spec.url, row.name),
    };
    job.plan.outputs.iter().zip(&job.outputs).map(open).collect()
}

/// How outputs are opened.
struct Outlets {
    sinks: &'static Sinks,
    options: sink::Options,
    /// Whether what the job published there before is taken away.
    overwrite: bool,
    speaker: Speaker,
}

impl Outlets {
    fn new(invocation: &Invocation<'_>) -> Self {
        let job = invocation.job.plan().job.to_owned();
        Self {
            sinks: &invocation.job.connectors().sinks,
            options: sink::Options { job },
            overwrite: invocation.engine.overwrite,
            speaker: Speaker::new(&invocation.engine),
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
            let removed = self.sinks.remove_earlier(url, name, &self.options)?;
            if removed > 0 {
                self.speaker.tell(&Overwritten { output: name.to_owned(), removed });
            }
        }
        self.sinks.open(url, name, &self.options)
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
