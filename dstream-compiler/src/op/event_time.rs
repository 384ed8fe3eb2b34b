//! `event_time`

use proc_macro2::TokenStream;
use quote::quote;

use super::{Arg, Effect, Lower, Operator, Times};
use crate::codegen::emit::{StepCode, time};
use crate::codegen::spans;

pub(super) static OPERATOR: Operator = Operator {
    name: "event_time",
    usage: "event_time(|record| …, \"10s\")",
    forms: &[&[Arg::Function { parameters: 1, example: "|record| …" }, Arg::Time("slack")]],
    doc: "the same records, each with the time at which it happened",
    details: "The function returns a `Timestamp`, or milliseconds since 1970. Windows after it are windows of these times: of live \
              streams and of history alike. Records may come out of order by as much as the second argument says; a \
              window closes when the *watermark* has passed its end: the greatest time seen so far, less that slack. Of a \
              source of several files or partitions it is the least of theirs; one without records for 30s is not waited \
              for, and one that has ended holds nothing back. Records that come when all their windows have closed are \
              late: they are left out and counted.",
    example: "numbers.event_time(|n| n, \"10s\")",
    partitioning: Effect::Keeps,
    uniqueness: Effect::Keeps,
    times: Times::Says,
    lower: Lower::Step { selects: false, emit },
    ..Operator::BASE
};

fn emit(step: &StepCode<'_>, then: &TokenStream) -> TokenStream {
    let (given, made, time) = (&step.given, &step.made, time());
    let call = step.call("call", given);
    let value = spans::value(step.result(), "event_time", &time);
    quote! {
        let #time = #call;
        let #time = #value;
        let #made = #given;
        #then
    }
}
