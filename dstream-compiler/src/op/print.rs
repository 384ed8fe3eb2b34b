//! `print`

use super::{Arg, Effect, Lower, Operator, Sink};

/// The number of records that are shown if it is not said.
const SHOWN: u32 = 10;

pub(super) static OPERATOR: Operator = Operator {
    name: "print",
    usage: "print()",
    forms: &[&[], &[Arg::Number]],
    doc: "shows the first records of each batch",
    details: "It shows 10 of them, or as many as it is told. An output is a statement of its own.",
    example: "words.print(5)",
    partitioning: Effect::Keeps,
    uniqueness: Effect::Keeps,
    lower: Lower::Output(|arguments| Sink::Print(arguments.number().unwrap_or(SHOWN))),
    ..Operator::BASE
};
