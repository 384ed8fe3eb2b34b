//! From the logical plan to the physical one: the ordered list of passes, as data.
//!
//! Between passes the nodes of the graph are in order of definition, which is topological: parents
//! come before their children. What further holds after each pass is written beside it.

mod common;
mod dead;
mod filters;
mod order;
mod panes;
pub mod partitioning;
mod slides;
mod stages;
#[cfg(test)]
mod tests;
pub(crate) mod times;
mod watermarks;
mod windows;

use crate::ir::logical::Job;
use crate::ir::physical::Physical;
use crate::ir::{dump, dump_dot, dump_stages, fingerprint};

pub use order::consumers;
pub(crate) use order::parents;
pub use slides::slides;

/// A pass over the logical plan.
#[derive(Debug)]
pub struct Pass {
    /// Its name, as `JOB plan` shows it.
    pub name: &'static str,
    /// What holds after it.
    pub after: &'static str,
    /// What it does.
    pub run: fn(&mut Job),
}

/// The passes, in the order in which they run.
pub const PASSES: &[Pass] = &[
    Pass { name: "dead streams", after: "every node leads to an output", run: dead::run },
    Pass {
        name: "filters first",
        after: "no filter is the only consumer of an unnamed union",
        run: filters::run,
    },
    Pass {
        name: "windows of values",
        after: "no window is read by an operator that needs less than its records",
        run: windows::run,
    },
    Pass {
        name: "panes",
        after: "the parent of every window-reduce has each key once per batch, in its partition",
        run: panes::run,
    },
    Pass {
        name: "watermarks",
        after: "every event-time window reads the watermark of the times that its records have",
        run: watermarks::run,
    },
    Pass {
        name: "common sub-plans",
        after: "no two deterministic operators do the same to the same parents",
        run: common::run,
    },
];

/// Runs all passes and cuts the plan into stages.
#[must_use]
pub fn plan(mut job: Job) -> Physical {
    let mut phases = vec![("program", dump::logical(&job))];
    for pass in PASSES {
        (pass.run)(&mut job);
        phases.push((pass.name, dump::logical(&job)));
    }
    phases.push(("partitioning", dump::partitioning(&job, &partitioning::of(&job))));
    let mut physical = stages::cut(&job);
    physical.hash = fingerprint::job(&job);
    phases.push(("stages", dump_stages::physical(&physical)));
    physical.dot = dump_dot::physical(&physical);
    physical.phases = phases;
    physical
}
