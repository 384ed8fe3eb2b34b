//! `distinct_within`

use quote::quote;

use super::{Arg, Begin, Effect, Keeps, Lower, Lowered, Operator, distinct};

pub(super) static OPERATOR: Operator = Operator {
    name: "distinct_within",
    usage: "distinct_within(\"1h\")",
    forms: &[&[Arg::Time("time")]],
    doc: "each record once in a time",
    details: "A record is emitted unless an equal one was emitted in the time before: in a batch that ends no more than that \
              earlier. Equal records in between are left out, and do not prolong it. Records are compared whole, so they must be \
              of a type that can be a key: floats and lists cannot. A batch costs by its own records and by those whose \
              time is over, not by those that are remembered.",
    example: "words.distinct_within(\"1h\")",
    // Equal records have equal keys.
    partitioning: Effect::Keeps,
    uniqueness: Effect::Keeps,
    lower: Lower::Head(Begin {
        words: |_| "distinct over time".to_owned(),
        lower: |arguments, at| {
            let keeps = Keeps::Expiring(arguments.time().unwrap_or(1));
            Lowered::reads([distinct::read(at)]).keeping(keeps)
        },
        emit: |head| {
            let ms = head.arguments().time().unwrap_or(1);
            let remembered = quote!(__dstream::Remembered::FromFirst(#ms));
            head.merging_with("firsts", &distinct::first(head.at()), &remembered)
        },
        record: |record| quote!((#record, _)),
    }),
    ..Operator::BASE
};
