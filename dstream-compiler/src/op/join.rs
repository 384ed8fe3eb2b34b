//! `join`

use super::lower::whole;
use super::{Arg, Begin, Effect, Lower, Lowered, Operator, Read};

pub(super) static OPERATOR: Operator = Operator {
    name: "join",
    usage: "join(stream)",
    forms: &[&[Arg::Stream]],
    doc: "pairs of records with the same key",
    details: "It pairs the records of one batch: of `(key, a)` and `(key, b)` it makes `(key, (a, b))`. Several records \
              of a key on both sides give all their pairs. Join windows of both streams for records that come in \
              different batches.",
    example: "pairs.join(others)",
    partitioning: Effect::Makes,
    lower: Lower::Head(Begin {
        words: |_| "join".to_owned(),
        lower: |_, _| Lowered::reads([Read::keyed(), Read::keyed().from(1)]),
        emit: |head| head.of_two("join"),
        record: whole,
    }),
    ..Operator::BASE
};
