//! `full_outer_join`

use super::lower::of_two;
use super::{Arg, Effect, Lower, Operator};

pub(super) static OPERATOR: Operator = Operator {
    name: "full_outer_join",
    usage: "full_outer_join(stream)",
    forms: &[&[Arg::Stream]],
    doc: "pairs of records with the same key, and what has no partner with `None`",
    details: "Of `(key, a)` and `(key, b)` it makes `(key, (Some(a), Some(b)))`; a record whose key the other stream does not \
              have in the batch gives `(key, (Some(a), None))` or `(key, (None, Some(b)))`. Several records of a key on both \
              sides give all their pairs.",
    example: "pairs.full_outer_join(others)",
    partitioning: Effect::Makes,
    lower: Lower::Head(of_two(|_| "full outer join".to_owned())),
    ..Operator::BASE
};
