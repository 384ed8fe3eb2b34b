//! Operators of two streams.

use super::{Arg, Dependency, Effect, Facts};
use crate::ir::logical::Op;

/// `union`
pub(super) const UNION: Facts = Facts {
    name: "union",
    usage: "union(stream)",
    forms: &[&[Arg::Stream]],
    make: |_| Op::Union,
    dependency: Dependency::Both,
    keyed_input: false,
    keyed_output: false,
    makes_key: false,
    state: false,
    partitioning: Effect::Keeps,
    uniqueness: Effect::Loses,
    doc: "the records of both streams",
};

/// `join`
pub(super) const JOIN: Facts = Facts {
    name: "join",
    usage: "join(stream)",
    forms: &[&[Arg::Stream]],
    make: |_| Op::Join,
    dependency: Dependency::ByKey,
    keyed_input: true,
    keyed_output: true,
    makes_key: false,
    state: false,
    partitioning: Effect::Makes,
    uniqueness: Effect::Loses,
    doc: "pairs of records with the same key",
};
