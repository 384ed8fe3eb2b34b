//! Operators by which records leave the job.

use super::{Arg, Dependency, Effect, Facts};
use crate::ir::logical::Op;

const OUTPUT: Facts = Facts {
    name: "",
    usage: "",
    forms: &[],
    make: |_| Op::Print { count: None },
    dependency: Dependency::Output,
    keyed_input: false,
    keyed_output: false,
    makes_key: false,
    state: false,
    partitioning: Effect::Keeps,
    uniqueness: Effect::Keeps,
    doc: "",
};

/// `save`
pub(super) const SAVE: Facts = Facts {
    name: "save",
    usage: "save(\"json+file://out/counts\")",
    forms: &[&[Arg::Url]],
    make: |args| Op::Save { url: args.value() },
    doc: "writes each batch to a sink",
    ..OUTPUT
};

/// `print`
pub(super) const PRINT: Facts = Facts {
    name: "print",
    usage: "print()",
    forms: &[&[], &[Arg::Number]],
    make: |args| Op::Print { count: args.next_number() },
    doc: "shows the first records of each batch",
    ..OUTPUT
};
