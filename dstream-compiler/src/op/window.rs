//! Operators that look back over several batches.

use super::{Arg, Dependency, Effect, Facts};
use crate::ir::logical::Op;

/// `window`
pub(super) const WINDOW: Facts = Facts {
    name: "window",
    usage: "window(\"30s\", \"1s\")",
    forms: &[&[Arg::Length], &[Arg::Length, Arg::Slide]],
    make: |args| Op::Window { length: args.length(), slide: args.slide() },
    dependency: Dependency::SamePartition,
    keyed_input: false,
    keyed_output: false,
    makes_key: false,
    state: true,
    partitioning: Effect::Keeps,
    uniqueness: Effect::Loses,
    doc: "the records of the last batches",
};

const MERGE: Arg = Arg::Function { parameters: 2, example: "|a, b| …" };
const INVERSE: Arg = Arg::Function { parameters: 2, example: "|all, left| …" };

/// `reduce_by_key_and_window`
pub(super) const REDUCE_BY_KEY_AND_WINDOW: Facts = Facts {
    name: "reduce_by_key_and_window",
    usage: "reduce_by_key_and_window(|a, b| …, \"30s\", \"1s\")",
    forms: &[
        &[MERGE, Arg::Length],
        &[MERGE, Arg::Length, Arg::Slide],
        &[MERGE, INVERSE, Arg::Length],
        &[MERGE, INVERSE, Arg::Length, Arg::Slide],
    ],
    make: |args| Op::ReduceByKeyAndWindow {
        merge: args.function(),
        inverse: args.next_function(),
        length: args.length(),
        slide: args.slide(),
    },
    dependency: Dependency::ByKey,
    keyed_input: true,
    keyed_output: true,
    makes_key: false,
    state: true,
    partitioning: Effect::Makes,
    uniqueness: Effect::Makes,
    doc: "one record per key and window",
};
