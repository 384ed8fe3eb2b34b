//! `reduce_by_key`

use super::lower::whole;
use super::{
    Arg, Begin, Effect, Lower, Lowered, Operator, Read, reduce_by_key_and_window, reduction,
};

pub(super) static OPERATOR: Operator = Operator {
    name: "reduce_by_key",
    usage: "reduce_by_key(|a, b| …)",
    forms: &[&[Arg::Function { parameters: 2, example: "|a, b| …" }]],
    doc: "one record per key and batch",
    details: "The records are pairs `(key, value)`; the function merges two values. It must be associative: values are \
              merged in each task before they are moved.",
    example: "words.map(|w| (w, 1u64)).reduce_by_key(|a, b| a + b)",
    partitioning: Effect::Makes,
    uniqueness: Effect::Makes,
    over_window: Some(&reduce_by_key_and_window::OPERATOR),
    lower: Lower::Head(Begin {
        words: |_| "merge".to_owned(),
        lower: |arguments, _| Lowered::reads([Read::combined(arguments.function())]),
        emit: |head| head.merging("merge", head.arguments().function()),
        record: whole,
    }),
    over_event_time: Some(&reduction::REDUCE_BY_KEY),
    ..Operator::BASE
};
