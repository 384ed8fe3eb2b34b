//! `JOB plan`: what the compiler made of the program.

use std::io::{self, Write};

use super::args::{Invocation, PlanArgs};
use super::{DONE, FAILED, show};
use crate::plan;

/// Prints the plan on standard output, in one of its forms.
pub(super) fn print(invocation: &Invocation<'_>, options: &PlanArgs) -> u8 {
    let plan = invocation.job.plan();
    let text = if options.dot {
        plan.report.dot.to_owned()
    } else if options.svg {
        plan::svg(plan)
    } else if options.json {
        plan::json(plan)
    } else if options.code {
        plan.report.code.to_owned()
    } else {
        plan::text(plan)
    };
    let mut out = io::stdout().lock();
    match writeln!(out, "{}", text.trim_end_matches('\n')) {
        Ok(()) => DONE,
        // The reader has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => DONE,
        Err(error) => {
            show::error(
                invocation.engine.log,
                &format!("cannot write to standard output: {error}"),
            );
            FAILED
        }
    }
}
