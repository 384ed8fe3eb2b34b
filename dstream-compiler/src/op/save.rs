//! `save`

use super::{Arg, Effect, Lower, Operator, Sink};

pub(super) static OPERATOR: Operator = Operator {
    name: "save",
    usage: "save(\"json+file://out/counts\")",
    forms: &[&[Arg::Url]],
    doc: "writes each batch to a sink",
    details: "An output is a statement of its own.",
    example: "words.save(\"text+file://out\")",
    partitioning: Effect::Keeps,
    uniqueness: Effect::Keeps,
    lower: Lower::Output(|arguments| Sink::Url(Box::new(arguments.value().clone()))),
    ..Operator::BASE
};
