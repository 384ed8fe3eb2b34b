//! `right_outer_join`

use super::lower::of_two;
use super::{Arg, Effect, Lower, Operator};

pub(super) static OPERATOR: Operator = Operator {
    name: "right_outer_join",
    usage: "right_outer_join(stream)",
    forms: &[&[Arg::Stream]],
    doc: "each record of the other stream with those that have the same key, or with `None`",
    details: "Of `(key, a)` and `(key, b)` it makes `(key, (Some(a), b))`, and `(key, (None, b))` where this stream has no \
              record of that key in the batch. Several records of a key on both sides give all their pairs.",
    example: "pairs.right_outer_join(others)",
    partitioning: Effect::Makes,
    lower: Lower::Head(of_two(|_| "right outer join".to_owned())),
    ..Operator::BASE
};
