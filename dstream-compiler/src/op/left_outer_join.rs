//! `left_outer_join`

use super::lower::of_two;
use super::{Arg, Effect, Lower, Operator, join_table};

pub(super) static OPERATOR: Operator = Operator {
    name: "left_outer_join",
    usage: "left_outer_join(stream)",
    forms: &[&[Arg::Stream]],
    doc: "each record with those of the other stream that have the same key, or with `None`",
    details: "Of `(key, a)` and `(key, b)` it makes `(key, (a, Some(b)))`, and `(key, (a, None))` where the other stream \
              has no record of that key in the batch. Several records of a key on both sides give all their pairs. \
              With a table on the right every record meets all of it.",
    example: "pairs.left_outer_join(others)",
    partitioning: Effect::Makes,
    lower: Lower::Head(of_two(|_| "left outer join".to_owned())),
    by_table: Some(&join_table::LEFT_OUTER_JOIN),
    ..Operator::BASE
};
