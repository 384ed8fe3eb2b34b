//! The command line of a job binary: the options that every job has, and the job's own.

use std::ffi::OsString;
use std::fmt::Write as _;

use clap::{ArgMatches, Args, Command, FromArgMatches, Subcommand, ValueEnum};

use super::value::{count, interval};
use crate::exec::job::Bindings;
use crate::job::AnyJob;
use crate::plan::Plan;

/// Options that every job binary has.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Engine")]
pub(super) struct EngineArgs {
    /// Which of the binary's jobs to run; needed where there are several
    #[arg(long, value_name = "NAME", global = true)]
    pub job: Option<String>,

    /// Read a stream from somewhere else: a file, a directory or a glob (also .gz and .zst),
    /// `file://DIR?follow`, `tcp://HOST:PORT`, `generate://words`, `generate://page_views`
    #[arg(long = "source", value_name = "NAME=URL")]
    pub sources: Vec<String>,

    /// Write an output to somewhere else: `text+file://DIR`, `csv+file://DIR`, `json+file://DIR`,
    /// `stdout:`, `none:`; `NAME.dead` takes the records of a source that could not be read
    #[arg(long = "sink", value_name = "NAME=URL")]
    pub sinks: Vec<String>,

    /// Length of a batch, instead of the program's: `500ms`, `2s`
    #[arg(long, value_parser = interval)]
    pub interval: Option<std::time::Duration>,

    /// Slices of every dataset: the unit of parallelism and recovery
    #[arg(long, default_value = "8", value_parser = count)]
    pub partitions: u32,

    /// Threads that run tasks [default: one per core]
    #[arg(long, value_parser = count)]
    pub cores: Option<u32>,

    /// How the summary at the end is written; `json` is one line on standard output
    #[arg(long, value_enum, default_value = "text")]
    pub summary: SummaryFormat,

    /// How the log on standard error is written
    #[arg(long, value_enum, default_value = "text")]
    pub log: LogFormat,
}

/// Forms of the summary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum SummaryFormat {
    /// For people, on standard error
    Text,
    /// One line of JSON, the last on standard output
    Json,
}

/// Forms of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// Lines for people, or a display that moves where standard error is a terminal
    Text,
    /// One JSON object per line
    Json,
}

/// What a job binary does besides running its job.
#[derive(Debug, Clone, Subcommand)]
pub(super) enum Verb {
    /// Shows what the compiler made of the program
    Plan(PlanArgs),
}

/// How the plan is shown.
#[derive(Debug, Clone, Args)]
#[group(multiple = false)]
pub(super) struct PlanArgs {
    /// As source for Graphviz
    #[arg(long)]
    pub dot: bool,
    /// As a picture
    #[arg(long)]
    pub svg: bool,
    /// As JSON: all the tables
    #[arg(long)]
    pub json: bool,
    /// As Rust: the generated kernels
    #[arg(long)]
    pub code: bool,
}

/// A parsed command line.
pub(super) struct Invocation<'j> {
    pub job: &'j dyn AnyJob,
    pub engine: EngineArgs,
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
    let plan = job.plan();
    let mut command = Command::new(plan.job)
        .about(plan.about)
        .version(env!("CARGO_PKG_VERSION"))
        .after_help(after_help(jobs, plan));
    command = job.augment(command.next_help_heading("Parameters of the job"));
    let own: Vec<_> = command.get_arguments().map(|a| a.get_id().to_string()).collect();
    command = EngineArgs::augment_args(command);
    if let Some(name) = own.iter().find(|name| RESERVED.contains(&name.as_str())) {
        let message = format!(
            "the job's parameter `{name}` has the name of an option that every job has; rename it in the program\n"
        );
        return Err(Command::new(plan.job).error(clap::error::ErrorKind::ArgumentConflict, message));
    }
    command = Verb::augment_subcommands(command).about(plan.about).long_about(None);
    command = command.subcommand_required(false).subcommand_negates_reqs(true);
    let matches = command.try_get_matches_from(arguments)?;
    let engine = EngineArgs::from_arg_matches(&matches)?;
    let verb = match matches.subcommand_name() {
        Some(_) => Some(Verb::from_arg_matches(&matches)?),
        None => None,
    };
    Ok(Invocation { job, engine, verb, matches })
}

/// Ids of [`EngineArgs`], which a job's parameters cannot have.
const RESERVED: [&str; 8] =
    ["job", "sources", "sinks", "interval", "partitions", "cores", "summary", "log"];

/// The job that the command line names, or the only one.
fn choose<'j>(
    jobs: &[&'j dyn AnyJob],
    arguments: &[OsString],
) -> Result<&'j dyn AnyJob, clap::Error> {
    let names = || jobs.iter().map(|job| job.plan().job).collect::<Vec<_>>().join(", ");
    let mut named = None;
    let mut rest = arguments.iter().skip(1).map(|a| a.to_string_lossy());
    while let Some(argument) = rest.next() {
        if argument == "--job" {
            named = rest.next().map(std::borrow::Cow::into_owned);
        } else if let Some(name) = argument.strip_prefix("--job=") {
            named = Some(name.to_owned());
        }
    }
    let error = |message: String| {
        let command = Command::new("job").override_usage("JOB --job NAME [OPTIONS]");
        command.clone().error(clap::error::ErrorKind::InvalidValue, message)
    };
    match (named, jobs) {
        (Some(name), _) => jobs
            .iter()
            .find(|job| job.plan().job == name)
            .copied()
            .ok_or_else(|| error(format!("there is no job `{name}`; there are {}\n", names()))),
        (None, [job]) => Ok(*job),
        (None, _) => Err(error(format!("say which job with --job: {}\n", names()))),
    }
}

/// The names that `--source` and `--sink` take.
fn after_help(jobs: &[&dyn AnyJob], plan: &Plan) -> String {
    let mut help = String::from("Streams of this job:\n");
    for source in plan.sources {
        let _ = writeln!(help, "  source {}", source.name);
    }
    for output in plan.outputs {
        let _ = writeln!(help, "  sink   {}", output.name);
    }
    if jobs.len() > 1 {
        let names: Vec<_> = jobs.iter().map(|job| job.plan().job).collect();
        let _ = writeln!(help, "\nJobs of this binary: {}", names.join(", "));
    }
    help
}

/// `NAME=URL` pairs, checked against the names of the plan.
///
/// # Errors
/// What is wrong with which pair, and which names there are.
pub(super) fn bindings(plan: &Plan, engine: &EngineArgs) -> Result<Bindings, String> {
    let sources: Vec<_> = plan.sources.iter().map(|s| s.name.to_owned()).collect();
    let mut sinks: Vec<_> = plan.outputs.iter().map(|o| o.name.to_owned()).collect();
    sinks.extend(sources.iter().map(|name| format!("{name}.dead")));
    let mut bindings = Bindings::default();
    for (option, pairs, known, into) in [
        ("--source", &engine.sources, &sources, &mut bindings.sources),
        ("--sink", &engine.sinks, &sinks, &mut bindings.sinks),
    ] {
        for pair in pairs {
            let Some((name, url)) = pair.split_once('=').filter(|(_, url)| !url.is_empty()) else {
                return Err(format!("{option} {pair}: write {option} NAME=URL"));
            };
            if !known.iter().any(|known| known == name) {
                let (what, known) = (option.trim_start_matches('-'), known.join(", "));
                return Err(format!(
                    "{option} {pair}: there is no {what} `{name}` in this job; there are: {known}"
                ));
            }
            if into.insert(name.to_owned(), url.to_owned()).is_some() {
                return Err(format!("{option} {pair}: `{name}` is given twice"));
            }
        }
    }
    Ok(bindings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::job::BuiltJob;
    use crate::plan::example;

    /// A job of the example plan that takes `--k`.
    struct Example;

    #[derive(Debug, Args)]
    struct Parameters {
        #[arg(long, default_value_t = 10)]
        k: usize,
    }

    impl AnyJob for Example {
        fn plan(&self) -> &'static Plan {
            &example::PLAN
        }
        fn augment(&self, command: Command) -> Command {
            Parameters::augment_args(command)
        }
        fn build(&self, _: &ArgMatches, _: Bindings) -> Result<BuiltJob, clap::Error> {
            unreachable!("these tests run no job")
        }
    }

    fn parsed(arguments: &str) -> Result<(EngineArgs, Option<Verb>), String> {
        let arguments = arguments.split_whitespace().map(OsString::from).collect();
        parse(&[&Example], arguments)
            .map(|invocation| (invocation.engine, invocation.verb))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn options_of_the_engine_and_of_the_job_stand_side_by_side() {
        let (engine, verb) = parsed("job --k 3 --partitions 4 --cores 1 --summary json").unwrap();
        assert_eq!((engine.partitions, engine.cores), (4, Some(1)));
        assert_eq!(engine.summary, SummaryFormat::Json);
        assert!(verb.is_none());
        assert!(matches!(parsed("job plan --svg"), Ok((_, Some(Verb::Plan(p)))) if p.svg));
        assert!(parsed("job --partitions 0").is_err());
        assert!(parsed("job plan --svg --dot").is_err());
    }

    #[test]
    fn a_job_of_several_has_to_be_named() {
        let jobs: [&dyn AnyJob; 2] = [&Example, &Example];
        let choice = |line: &str| {
            let arguments = line.split_whitespace().map(OsString::from).collect();
            parse(&jobs, arguments).map(|_| ()).map_err(|error| error.to_string())
        };
        let name = example::PLAN.job;
        assert!(choice("job").unwrap_err().contains(name));
        assert!(choice("job --job nobody").unwrap_err().contains("nobody"));
        assert_eq!(choice(&format!("job --job {name}")), Ok(()));
        assert_eq!(choice(&format!("job --job={name} plan")), Ok(()));
    }

    #[test]
    fn bindings_name_streams_of_the_job() {
        let source = example::PLAN.sources[0].name;
        let sink = example::PLAN.outputs[0].name;
        let bound = |line: &str| {
            let (engine, _) = parsed(line).unwrap();
            bindings(&example::PLAN, &engine)
        };
        let good = bound(&format!("job --source {source}=a=b --sink {source}.dead=none:")).unwrap();
        assert_eq!(good.sources[source], "a=b");
        assert_eq!(good.sinks[&format!("{source}.dead")], "none:");
        assert!(bound("job --sink nobody=none:").unwrap_err().contains(sink));
        assert!(bound(&format!("job --source {source}")).unwrap_err().contains("NAME=URL"));
        let twice = bound(&format!("job --sink {sink}=none: --sink {sink}=stdout:"));
        assert!(twice.unwrap_err().contains("twice"));
    }
}
