//! `JOB plan`: what the compiler made of the program.

use super::args::{Invocation, PlanArgs};
use super::{Failed, answer};
use crate::plan;

/// Prints the plan on standard output, in one of its forms.
pub(super) fn print(invocation: &Invocation<'_>, options: &PlanArgs) -> Result<(), Failed> {
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
    answer(&text)
}
