//! `union`

use super::lower::whole;
use super::{Arg, Begin, Effect, Lower, Lowered, Operator, Read};

pub(super) static OPERATOR: Operator = Operator {
    name: "union",
    usage: "union(stream)",
    forms: &[&[Arg::Stream]],
    doc: "the records of both streams",
    details: "Both have records of one type, and emit in the same batches.",
    example: "pairs.union(others)",
    partitioning: Effect::Keeps,
    lower: Lower::Union(Begin {
        words: |_| "rows".to_owned(),
        lower: |_, _| Lowered::reads([Read::rows()]),
        emit: |head| head.of("rows_of"),
        record: whole,
    }),
    ..Operator::BASE
};
