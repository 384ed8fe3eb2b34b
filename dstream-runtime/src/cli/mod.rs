//! The face of a job binary: its command line, what it shows while it runs, its exit code.
//!
//! One binary is everything a job needs: the job in one process (`run`), its master, its
//! workers, a cluster of both on this host, and what talks to a running master. Results go to standard
//! output, and only where an output says so; so do answers to a question (`plan`, `status`, …).
//! Everything else goes to standard error, except the summary as JSON.

mod args;
mod ask;
mod claim;
mod connectors;
mod crew;
mod explain;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod history;
mod host;
mod inside;
mod local;
mod log;
mod master;
mod news;
mod open;
mod panel;
mod plan;
mod run;
mod send;
mod show;
mod signals;
mod status;
mod summary;
mod table;
mod token;
mod value;
mod words;
mod worker;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use args::{Invocation, Role, Verb};
use tokio::signal::unix::{SignalKind, signal};

use crate::connectors::Connectors;
use crate::driver::JobError;
use crate::host::limits;
use crate::job::{AnyJob, Registered};
use crate::sink::SinkConnector;
use crate::source::SourceConnector;

/// Done.
const DONE: u8 = 0;
/// The job failed.
const FAILED: u8 = 1;
/// Wrong usage.
const USAGE: u8 = 2;

/// Why there is no result.
#[derive(Debug)]
enum Failed {
    /// The command line is wrong, or names what cannot be opened.
    Usage(String),
    /// The job failed, or what was asked of it.
    Job(String),
}

impl From<JobError> for Failed {
    fn from(error: JobError) -> Self {
        Self::Job(error.to_string())
    }
}

/// Runs a job binary, which has these sources and outputs beside those of this crate, with the arguments of the
/// process.
#[must_use]
pub fn main(
    jobs: &[&dyn AnyJob],
    sources: &[SourceConnector],
    sinks: &[SinkConnector],
) -> ExitCode {
    let connectors: &'static Connectors = match Connectors::with(sources, sinks) {
        // As many as there are processes: one.
        Ok(connectors) => Box::leak(Box::new(connectors)),
        Err(why) => {
            show::error(args::LogFormat::Text, false, &format!("dstream::main!: {why}"));
            return ExitCode::from(USAGE);
        }
    };
    let jobs: Vec<_> = jobs.iter().map(|job| Registered { job: job.boxed(), connectors }).collect();
    let jobs: Vec<&dyn AnyJob> = jobs.iter().map(|job| job as &dyn AnyJob).collect();
    ExitCode::from(run_with(&jobs, std::env::args_os().collect()))
}

fn run_with(jobs: &[&dyn AnyJob], arguments: Vec<OsString>) -> u8 {
    limits::raise();
    ignore_file_size_signal();
    let invocation = match args::parse(jobs, arguments) {
        Ok(invocation) => invocation,
        Err(error) => {
            return if error.use_stderr() {
                // Where there is no standard error the code says it.
                let _ = error.print();
                USAGE
            } else {
                // Help and version are no mistakes, but answers.
                done(answered(|| error.print()), args::LogFormat::Text, false)
            };
        }
    };
    let carried = carry_out(&invocation);
    let ran = invocation.verb.is_none() && matches!(carried, Err(Failed::Job(_)));
    done(carried, invocation.engine.log, ran)
}

/// The code that a process ends with; its error is said. `ran`: the job itself has failed.
fn done(carried: Result<(), Failed>, log: args::LogFormat, ran: bool) -> u8 {
    let (message, code) = match carried {
        Ok(()) => return DONE,
        Err(Failed::Usage(message)) => (message, USAGE),
        Err(Failed::Job(message)) => (message, FAILED),
    };
    show::error(log, ran, &message);
    code
}

/// A file that reaches the limit of its size (`ulimit -f`) is an error of the write, which says which file it
/// is, and not a signal that ends the process without a word.
fn ignore_file_size_signal() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
    if let Ok(runtime) = runtime {
        let _inside = runtime.enter();
        // Once caught, it stays caught. Where it cannot be, the default of the system holds.
        let _ = signal(SignalKind::from_raw(libc::SIGXFSZ));
    }
}

/// With less memory than this, huge pages are more than a few hundredths of it.
const HUGE_PAGES_FROM: u64 = 1 << 30;

/// Turns off huge pages where memory is little: with them a process takes up to twice its `--memory`, since the allocator
/// gives back what is in whole pages alone (measured: 90 MiB beside the program for 64 MiB, and 46 MiB without). They are
/// worth something where buffers are many and large. A master without tasks has few.
fn small_pages(invocation: &Invocation<'_>) {
    let runs_tasks = invocation.verb.is_none() && invocation.cluster.role != Role::Master;
    if !runs_tasks || invocation.cluster.memory < HUGE_PAGES_FROM {
        // An old kernel may not know it, and one without huge pages needs none.
        let _ = rustix::thread::disable_transparent_huge_pages(true);
    }
}

fn carry_out(invocation: &Invocation<'_>) -> Result<(), Failed> {
    small_pages(invocation);
    match (&invocation.verb, invocation.cluster.role, invocation.cluster.workers) {
        (Some(Verb::Plan(options)), ..) => plan::print(invocation, options),
        (Some(Verb::Sources(form)), ..) => connectors::sources(invocation, form),
        (Some(Verb::Sinks(form)), ..) => connectors::sinks(invocation, form),
        (Some(Verb::Explain(what)), ..) => explain::explain(what.name.as_deref()),
        (Some(Verb::Token(options)), ..) => token::make(invocation, options),
        (Some(Verb::Status(form)), ..) => ask::status(invocation, *form),
        (Some(Verb::Workers(form)), ..) => ask::workers(invocation, *form),
        (Some(Verb::Drain(drain)), ..) => ask::drain(invocation, &drain.worker),
        (Some(Verb::Savepoint(savepoint)), ..) => ask::savepoint(invocation, savepoint),
        (Some(Verb::Stop(stop)), ..) => ask::stop(invocation, stop.now),
        (Some(Verb::Send(options)), ..) => send::send(invocation, options),
        (None, Role::Local, None | Some(0)) if invocation.cluster.checkpoint.is_none() => {
            run::run(invocation)
        }
        (None, Role::Local, workers) => local::run(invocation, workers.unwrap_or(0)),
        (None, Role::Master, _) => master::run(invocation),
        (None, Role::Worker, _) => worker::run(invocation),
    }
}

/// Writes an answer to standard output.
fn answer(text: &str) -> Result<(), Failed> {
    answered(|| {
        let mut out = io::stdout().lock();
        writeln!(out, "{}", text.trim_end_matches('\n')).and_then(|()| out.flush())
    })
}

/// Whether an answer could be written to standard output.
fn answered(write: impl FnOnce() -> io::Result<()>) -> Result<(), Failed> {
    closed_output(limits::is_open(1))?;
    match write() {
        // The reader may have seen enough.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failed::Job(format!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// The failure that standard output cannot be written.
fn closed_output(result: io::Result<()>) -> Result<(), Failed> {
    result.map_err(|error| Failed::Job(format!("cannot write to standard output: {error}")))
}
