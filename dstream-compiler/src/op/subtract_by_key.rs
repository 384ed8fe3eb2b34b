//! `subtract_by_key`

use super::lower::of_two;
use super::{Arg, Effect, Lower, Operator, join_table};

pub(super) static OPERATOR: Operator = Operator {
    name: "subtract_by_key",
    usage: "subtract_by_key(stream)",
    forms: &[&[Arg::Stream]],
    doc: "the records whose key the other stream does not have",
    details: "It is by batch: a record stays if no record of the other stream in the same batch has its key. Subtract a window \
              for more than that. The values of the other stream do not matter. With a table on the right a record stays if the \
              table does not have its key.",
    example: "pairs.subtract_by_key(others)",
    partitioning: Effect::Makes,
    uniqueness: Effect::Keeps,
    lower: Lower::Head(of_two(|_| "subtract".to_owned())),
    by_table: Some(&join_table::SUBTRACT_BY_KEY),
    ..Operator::BASE
};
