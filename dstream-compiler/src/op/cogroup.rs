//! `cogroup`

use super::lower::of_two;
use super::{Arg, Effect, Lower, Operator};

pub(super) static OPERATOR: Operator = Operator {
    name: "cogroup",
    usage: "cogroup(stream)",
    forms: &[&[Arg::Stream]],
    doc: "per key the values of both streams, as two lists",
    details: "Of `(key, a)` and `(key, b)` it makes `(key, (list of a, list of b))`, for each key that one of the streams has in \
              the batch; the list of the other one may be empty. The values of a key are in the order of the batch, and all of \
              them are in memory at once.",
    example: "pairs.cogroup(others)",
    partitioning: Effect::Makes,
    uniqueness: Effect::Makes,
    lower: Lower::Head(of_two(|_| "cogroup".to_owned())),
    ..Operator::BASE
};
