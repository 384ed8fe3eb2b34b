//! The command line of a job binary: the options that every job has, and the job's own.

mod bind;
mod cluster;
mod verb;

use std::borrow::Cow;
use std::ffi::OsString;
use std::fmt::Write as _;

use clap::error::ErrorKind;
use clap::{ArgMatches, Args, Command, FromArgMatches, Subcommand, ValueEnum};

pub(super) use bind::{bindings, known_sources};
pub(super) use cluster::{ClusterArgs, OnSignal, Role, Switch, TargetArgs};
pub(super) use verb::{
    FormArgs, Holder, ListArgs, PlanArgs, SavepointArgs, SendArgs, TokenArgs, Verb,
};

use super::value::{count, interval};
use crate::connectors::Connectors;
use crate::exec::job::{Bindings, BuiltJob};
use crate::job::AnyJob;
use crate::plan::Plan;

/// Options that every job binary has.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Engine")]
pub(super) struct EngineArgs {
    /// Which job of the binary to run, if it has several
    #[arg(long, value_name = "NAME", global = true)]
    pub job: Option<String>,

    // Its help lists the sources of the binary.
    #[arg(long = "source", value_name = "NAME=URL")]
    pub sources: Vec<OsString>,

    // Its help lists the outputs of the binary.
    #[arg(long = "sink", value_name = "NAME=URL")]
    pub sinks: Vec<String>,

    /// Before the job starts, remove what it has published before in the directories of its outputs: batches whose
    /// manifest names this job and this output, and nothing else
    #[arg(long)]
    pub overwrite: bool,

    /// How long to retry an output that cannot be written, such as on a full disk, before the job stops
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = interval)]
    pub sink_patience: std::time::Duration,

    /// Batch interval, such as `500ms` or `2s` [default: the program's]
    #[arg(long, value_name = "TIME", value_parser = interval)]
    pub interval: Option<std::time::Duration>,

    /// Number of partitions, the unit of parallelism and recovery
    #[arg(long, value_name = "N", default_value = "8", value_parser = count)]
    pub partitions: u32,

    /// Threads that run tasks [default: one per core]
    #[arg(long, value_name = "N", value_parser = count)]
    pub cores: Option<u32>,

    /// Format of the summary at the end
    #[arg(long, value_name = "FORMAT", value_enum, default_value = "text")]
    pub summary: SummaryFormat,

    /// Format of the log on standard error
    #[arg(long, value_name = "FORMAT", value_enum, default_value = "text")]
    pub log: LogFormat,

    /// Write only warnings and errors to the log
    #[arg(long, short)]
    pub quiet: bool,
}

/// Forms of the summary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum SummaryFormat {
    /// Plain text on standard error
    Text,
    /// One line of JSON, the last on standard output
    Json,
}

/// Forms of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// Plain text, or a live display on a terminal
    Text,
    /// One JSON object per line
    Json,
}

/// A parsed command line.
pub(super) struct Invocation<'j> {
    pub job: &'j dyn AnyJob,
    /// Whether the binary has other jobs too.
    pub several: bool,
    pub engine: EngineArgs,
    pub cluster: ClusterArgs,
    pub target: TargetArgs,
    pub verb: Option<Verb>,
    pub matches: ArgMatches,
}

/// Parses a command line.
///
/// # Errors
/// Wrong usage, as clap reports it; also `--help` and `--version`.
pub(super) fn parse<'j>(
    jobs: &[&'j dyn AnyJob],
    arguments: Vec<OsString>,
) -> Result<Invocation<'j>, clap::Error> {
    let job = choose(jobs, &arguments)?;
    let (mut command, own) = command(jobs, job, asks_for_help(&arguments))?;
    if option(&arguments, "--role").is_some_and(|role| role == "worker") {
        // Its master tells it.
        command = command.mut_args(|arg| match own.iter().any(|id| arg.get_id() == id.as_str()) {
            true => arg.required(false),
            false => arg,
        });
    }
    let matches = command.try_get_matches_from_mut(arguments)?;
    let (engine, mut cluster) =
        (EngineArgs::from_arg_matches(&matches)?, ClusterArgs::from_arg_matches(&matches)?);
    let (verb, target) = match matches.subcommand() {
        Some((_, inner)) => {
            (Some(Verb::from_arg_matches(&matches)?), TargetArgs::from_arg_matches(inner)?)
        }
        None => (None, cluster.target.clone()),
    };
    if verb.is_none() {
        cluster.complete();
        if let Some(message) = cluster::misfit(&cluster, &matches, &own) {
            return Err(command.error(ErrorKind::ArgumentConflict, message));
        }
    }
    let several = jobs.len() > 1;
    Ok(Invocation { job, several, engine, cluster, target, verb, matches })
}

/// The command line of a job, and the ids of its own parameters.
fn command(
    jobs: &[&dyn AnyJob],
    job: &dyn AnyJob,
    helps: bool,
) -> Result<(Command, Vec<String>), clap::Error> {
    let plan = job.plan();
    let built = if helps { by_default(job) } else { None };
    let mut command = Command::new(plan.job)
        .about(plan.about)
        .version(env!("CARGO_PKG_VERSION"))
        .after_help(after_help(jobs, plan, built.as_ref()));
    command = job.augment(command.next_help_heading("Parameters of the job"));
    let every = ClusterArgs::augment_args(EngineArgs::augment_args(Command::new(plan.job)));
    let taken = |own: &clap::Arg| {
        let id = |arg: &clap::Arg| arg.get_id() == own.get_id();
        let long = |arg: &clap::Arg| own.get_long().is_some() && arg.get_long() == own.get_long();
        every.get_arguments().any(|arg| id(arg) || long(arg))
    };
    if let Some(own) = command.get_arguments().find(|own| taken(own)) {
        let message = format!(
            "the job's parameter `{}` has the name of an option that every job has; rename it in the program\n",
            own.get_id()
        );
        return Err(Command::new(plan.job).error(ErrorKind::ArgumentConflict, message));
    }
    let own = command.get_arguments().map(|a| a.get_id().to_string()).collect();
    command = ClusterArgs::augment_args(EngineArgs::augment_args(command));
    let (sources, sinks) = binding_helps(job.connectors());
    command = command.mut_arg("sources", |arg| arg.help(sources));
    command = command.mut_arg("sinks", |arg| arg.help(sinks));
    command = Verb::augment_subcommands(command).about(plan.about).long_about(None);
    command = command.subcommand_required(false).subcommand_negates_reqs(true);
    Ok((command, own))
}

/// The help of `--source` and `--sink`.
fn binding_helps(connectors: &Connectors) -> (String, String) {
    let quoted = |urls: Vec<String>| {
        urls.iter().map(|url| format!("`{url}`")).collect::<Vec<_>>().join(", ")
    };
    let mut sources = String::from(
        "Read a stream from another input; options follow a `?`, see the subcommand `sources` [default: the \
         program's, listed below]",
    );
    for row in connectors.sources.rows() {
        let urls = row.urls.iter().map(|url| (*url).to_owned()).collect();
        // Writing to a String cannot fail.
        let _ = write!(sources, "\n- {}: {}", quoted(urls), row.about);
    }
    let mut sinks = String::from(
        "Write an output elsewhere; options follow a `?`, see the subcommand `sinks`. `NAME.dead` takes the dead letters \
         of a source, as JSON [default: the program's, listed below]",
    );
    for row in connectors.sinks.rows() {
        let urls = row.urls().map(|(url, _)| url).collect();
        let _ = write!(sinks, "\n- {}: {}", quoted(urls), row.about);
    }
    (sources, sinks)
}

/// The last value of an option that has to be known before the command line can be parsed.
fn option(arguments: &[OsString], name: &str) -> Option<String> {
    let mut value = None;
    let mut rest = arguments.iter().skip(1).map(|a| a.to_string_lossy());
    while let Some(argument) = rest.next() {
        if argument == name {
            value = rest.next().map(Cow::into_owned);
        } else if let Some(given) = argument.strip_prefix(name).and_then(|a| a.strip_prefix('=')) {
            value = Some(given.to_owned());
        }
    }
    value
}

/// Verbs whose answer is the same for all jobs of a binary.
const OF_ALL_JOBS: [&str; 3] = ["sources", "sinks", "explain"];

/// The job that the command line names, or the only one.
fn choose<'j>(
    jobs: &[&'j dyn AnyJob],
    arguments: &[OsString],
) -> Result<&'j dyn AnyJob, clap::Error> {
    let names = || jobs.iter().map(|job| job.plan().job).collect::<Vec<_>>().join(", ");
    let error = |message: String| {
        let command = Command::new("job").override_usage("JOB --job NAME [OPTIONS]");
        command.clone().error(ErrorKind::InvalidValue, message)
    };
    match (option(arguments, "--job"), jobs) {
        (Some(name), _) => jobs
            .iter()
            .find(|job| job.plan().job == name)
            .copied()
            .ok_or_else(|| error(format!("there is no job `{name}`; there are {}\n", names()))),
        (None, [job]) => Ok(*job),
        // What this binary has does not depend on the job.
        (None, [job, ..])
            if arguments.get(1).is_some_and(|verb| OF_ALL_JOBS.iter().any(|of| verb == of)) =>
        {
            Ok(*job)
        }
        (None, [job, ..]) if asks_for_help(arguments) => {
            let jobs = format!(
                "Jobs: {}\n\n`JOB --job NAME --help` says what a job takes; `JOB {}` need no job.",
                names(),
                OF_ALL_JOBS.join("`, `JOB ")
            );
            let help =
                Command::new("job").override_usage("JOB --job NAME [OPTIONS]").after_help(jobs);
            help.try_get_matches_from(["JOB", "--help"]).map(|_| *job)
        }
        (None, _) => Err(error(format!("say which job with --job: {}\n", names()))),
    }
}

/// Whether the defaults of sources and sinks are to be shown.
fn asks_for_help(arguments: &[OsString]) -> bool {
    arguments.iter().skip(1).any(|argument| ["--help", "-h", "help"].iter().any(|h| argument == h))
}

/// The job with the defaults of its parameters, if all of them have one.
fn by_default(job: &dyn AnyJob) -> Option<BuiltJob> {
    let matches = job.augment(Command::new("job")).try_get_matches_from(["job"]).ok()?;
    job.build(&matches, Bindings::default()).ok()
}

/// The names that `--source` and `--sink` take, and where they read and write by default.
fn after_help(jobs: &[&dyn AnyJob], plan: &Plan, built: Option<&BuiltJob>) -> String {
    let mut help = String::from("Streams of this job:\n");
    let mut line = |what: &str, name: &str, url: Option<&str>| {
        let default = url.map_or_else(String::new, |url| format!(" [default: {url}]"));
        // Writing to a String cannot fail.
        let _ = writeln!(help, "  {what} {name}{default}");
    };
    for (at, source) in plan.sources.iter().enumerate() {
        let url = built.and_then(|built| built.sources.get(at)).map(|spec| spec.url.as_str());
        line("source", source.name, url);
    }
    for (at, output) in plan.outputs.iter().enumerate() {
        let url = built.and_then(|built| built.outputs.get(at)).map(|spec| spec.url.as_str());
        line("sink  ", output.name, url);
    }
    help.push_str(
        "\nExit codes:\n  \
         0  the job came to the end of its input, or was stopped\n  \
         1  it failed, or every record of a source became a dead letter\n  \
         2  wrong usage, or the job would give a wrong answer on this input: nothing was read or written\n",
    );
    if jobs.len() > 1 {
        let names: Vec<_> = jobs.iter().map(|job| job.plan().job).collect();
        let _ = writeln!(help, "\nJobs of this binary: {}", names.join(", "));
    }
    help
}

#[cfg(test)]
mod tests;
