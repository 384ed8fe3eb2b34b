//! Operators that look at one record at a time.

use super::{Arg, Dependency, Effect, Facts};
use crate::ir::logical::Op;

const NARROW: Facts = Facts {
    name: "",
    usage: "",
    forms: &[],
    make: |_| Op::Union,
    dependency: Dependency::Narrow,
    keyed_input: false,
    keyed_output: false,
    makes_key: false,
    state: false,
    partitioning: Effect::Loses,
    uniqueness: Effect::Loses,
    doc: "",
};

/// `map`
pub(super) const MAP: Facts = Facts {
    name: "map",
    usage: "map(|record| …)",
    forms: &[&[Arg::Function { parameters: 1, example: "|record| …" }]],
    make: |args| Op::Map(args.function()),
    doc: "one record for each",
    ..NARROW
};

/// `filter`
pub(super) const FILTER: Facts = Facts {
    name: "filter",
    usage: "filter(|record| …)",
    forms: &[&[Arg::Function { parameters: 1, example: "|record| …" }]],
    make: |args| Op::Filter(args.function()),
    partitioning: Effect::Keeps,
    uniqueness: Effect::Keeps,
    doc: "the records for which the function holds",
    ..NARROW
};

/// `filter_map`
pub(super) const FILTER_MAP: Facts = Facts {
    name: "filter_map",
    usage: "filter_map(|record| …)",
    forms: &[&[Arg::Function { parameters: 1, example: "|record| …" }]],
    make: |args| Op::FilterMap(args.function()),
    doc: "one record or none for each",
    ..NARROW
};

/// `flat_map`
pub(super) const FLAT_MAP: Facts = Facts {
    name: "flat_map",
    usage: "flat_map(|record| …)",
    forms: &[&[Arg::Function { parameters: 1, example: "|record| …" }]],
    make: |args| Op::FlatMap(args.function()),
    doc: "any number of records for each",
    ..NARROW
};

/// `map_values`
pub(super) const MAP_VALUES: Facts = Facts {
    name: "map_values",
    usage: "map_values(|value| …)",
    forms: &[&[Arg::Function { parameters: 1, example: "|value| …" }]],
    make: |args| Op::MapValues(args.function()),
    keyed_input: true,
    keyed_output: true,
    partitioning: Effect::Keeps,
    uniqueness: Effect::Keeps,
    doc: "another value for the same key",
    ..NARROW
};

/// `key_by`
pub(super) const KEY_BY: Facts = Facts {
    name: "key_by",
    usage: "key_by(|record| …)",
    forms: &[&[Arg::Function { parameters: 1, example: "|record| …" }]],
    make: |args| Op::KeyBy(args.function()),
    keyed_output: true,
    makes_key: true,
    doc: "each record with a key made from it",
    ..NARROW
};
