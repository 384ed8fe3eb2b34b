//! Operators that bring the records of a key together, in one batch or over all batches.

use super::{Arg, Dependency, Effect, Facts};
use crate::ir::logical::Op;

/// `reduce_by_key`
pub(super) const REDUCE_BY_KEY: Facts = Facts {
    name: "reduce_by_key",
    usage: "reduce_by_key(|a, b| …)",
    forms: &[&[Arg::Function { parameters: 2, example: "|a, b| …" }]],
    make: |args| Op::ReduceByKey(args.function()),
    dependency: Dependency::ByKey,
    keyed_input: true,
    keyed_output: true,
    makes_key: false,
    state: false,
    partitioning: Effect::Makes,
    uniqueness: Effect::Makes,
    doc: "one record per key and batch",
};

/// `running_reduce`
pub(super) const RUNNING_REDUCE: Facts = Facts {
    name: "running_reduce",
    usage: "running_reduce(|a, b| …)",
    forms: &[&[Arg::Function { parameters: 2, example: "|a, b| …" }]],
    make: |args| Op::RunningReduce(args.function()),
    dependency: Dependency::ByKey,
    keyed_input: true,
    keyed_output: true,
    makes_key: false,
    state: true,
    partitioning: Effect::Makes,
    uniqueness: Effect::Makes,
    doc: "the reduction by key over all batches so far",
};
