//! `running_reduce`

use super::lower::whole;
use super::{Arg, Begin, Effect, Keeps, Lower, Lowered, Operator, Read};

pub(super) static OPERATOR: Operator = Operator {
    name: "running_reduce",
    usage: "running_reduce(|a, b| …)",
    forms: &[&[Arg::Function { parameters: 2, example: "|a, b| …" }]],
    doc: "the reduction by key over all batches so far",
    details: "A batch emits the new values of the keys that are in it.",
    example: "pairs.running_reduce(|a, b| a + b)",
    partitioning: Effect::Makes,
    uniqueness: Effect::Makes,
    lower: Lower::Head(Begin {
        words: |_| "running merge".to_owned(),
        lower: |arguments, _| {
            Lowered::reads([Read::combined(arguments.function())]).keeping(Keeps::Values)
        },
        emit: |head| head.merging("running", head.arguments().function()),
        record: whole,
    }),
    ..Operator::BASE
};
