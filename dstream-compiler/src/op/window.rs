//! `window`

use proc_macro2::TokenStream;
use quote::quote;

use super::event_window::assigning;
use super::lower::whole;
use super::{Arg, Arguments, Begin, Effect, Keeps, Lower, Lowered, Operator, Read};
use crate::codegen::emit::HeadCode;

pub(super) static OPERATOR: Operator = Operator {
    name: "window",
    usage: "window(\"30s\", \"1s\")",
    forms: &[&[Arg::Length], &[Arg::Length, Arg::Slide]],
    doc: "the records of the last batches",
    details: "The first duration is the window's length, the second one how often it emits: as often as its parent, if \
              there is none. Both are multiples of how often its parent emits. The operators per batch after it work \
              on the window: `window(\"30s\").count()`. What is only reduced, counted or grouped is so per batch, and its \
              records are not kept, also if operators per record stand between. On a stream with `event_time` both are of event time, any number of milliseconds; \
              without a slide windows follow each other. There the next operator must reduce each window: `reduce_by_key`, \
              `fold_by_key`, `group_by_key`, `count_by_value`, `distinct`, `reduce` or `count`; operators per record may stand between.",
    example: "words.window(\"30s\", \"10s\")",
    partitioning: Effect::Keeps,
    is_window: true,
    lower: Lower::Head(Begin {
        words: |arguments| format!("window of {}", length(arguments)),
        lower: |arguments, _| {
            Lowered::reads([Read::rows()]).keeping(Keeps::Panes(length(arguments)))
        },
        emit,
        record: whole,
    }),
    by_event_time: Some(&BY_EVENT_TIME),
    ..Operator::BASE
};

/// On an event-timed stream: the windows that the next operator reduces.
static BY_EVENT_TIME: Operator =
    assigning("window", &[&[Arg::Time("window")], &[Arg::Time("window"), Arg::Time("slide")]]);

pub(super) fn length(arguments: &Arguments) -> u64 {
    arguments.length().unwrap_or(1)
}

pub(super) fn emit(head: &HeadCode<'_>) -> TokenStream {
    let (path, flow, span) = (head.path("window"), head.flow(0), head.span());
    quote!(#path(&#flow, #span))
}
