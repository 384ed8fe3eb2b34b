//! Operators whose result is one for the whole batch.

use super::{Arg, Dependency, Effect, Facts};
use crate::ir::logical::Op;

const GATHER: Facts = Facts {
    name: "",
    usage: "",
    forms: &[],
    make: |_| Op::Count,
    dependency: Dependency::Gather,
    keyed_input: false,
    keyed_output: false,
    makes_key: false,
    state: false,
    partitioning: Effect::Loses,
    uniqueness: Effect::Loses,
    doc: "",
};

/// `reduce`
pub(super) const REDUCE: Facts = Facts {
    name: "reduce",
    usage: "reduce(|a, b| …)",
    forms: &[&[Arg::Function { parameters: 2, example: "|a, b| …" }]],
    make: |args| Op::Reduce(args.function()),
    doc: "one record per batch; none for an empty one",
    ..GATHER
};

/// `count`
pub(super) const COUNT: Facts = Facts {
    name: "count",
    usage: "count()",
    forms: &[&[]],
    make: |_| Op::Count,
    doc: "the number of records per batch; 0 for an empty one",
    ..GATHER
};

/// `top_k`
pub(super) const TOP_K: Facts = Facts {
    name: "top_k",
    usage: "top_k(10, |record| …)",
    forms: &[&[
        Arg::Value("a number of records"),
        Arg::Function { parameters: 1, example: "|record| …" },
    ]],
    make: |args| Op::TopK { k: args.value(), score: args.function() },
    doc: "the records of a batch with the greatest scores, best first",
    ..GATHER
};
