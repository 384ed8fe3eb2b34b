//! The face of a job binary: its command line, what it shows while it runs, its exit code.
//!
//! Results go to standard output, and only where an output says so; everything else goes to
//! standard error, except the summary as JSON.

mod args;
mod panel;
mod plan;
mod run;
mod show;
mod signals;
mod summary;
mod value;

use std::ffi::OsString;
use std::process::ExitCode;

use args::{Invocation, Verb};

use crate::job::AnyJob;

/// Done.
const DONE: u8 = 0;
/// The job failed.
const FAILED: u8 = 1;
/// Wrong usage.
const USAGE: u8 = 2;

/// Runs a job binary with the arguments of the process.
#[must_use]
pub fn main(jobs: &[&dyn AnyJob]) -> ExitCode {
    ExitCode::from(run_with(jobs, std::env::args_os().collect()))
}

fn run_with(jobs: &[&dyn AnyJob], arguments: Vec<OsString>) -> u8 {
    let invocation = match args::parse(jobs, arguments) {
        Ok(invocation) => invocation,
        Err(error) => {
            // Help and version are no mistakes.
            let _ = error.print();
            return if error.use_stderr() { USAGE } else { DONE };
        }
    };
    match &invocation.verb {
        Some(Verb::Plan(options)) => plan::print(&invocation, options),
        None => run(&invocation),
    }
}

fn run(invocation: &Invocation<'_>) -> u8 {
    let (message, code) = match run::run(invocation) {
        Ok(()) => return DONE,
        Err(run::Failed::Usage(message)) => (message, USAGE),
        Err(run::Failed::Job(message)) => (message, FAILED),
    };
    show::error(invocation.engine.log, &message);
    code
}
