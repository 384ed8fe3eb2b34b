//! `reduce_by_key_and_window`

use proc_macro2::TokenStream;
use quote::quote;

use super::lower::whole;
use super::{
    Arg, Argument, Arguments, Begin, Between, Effect, Keeps, Lower, Lowered, Operator, Read,
    reduce_by_key, reduction,
};
use crate::codegen::emit::HeadCode;

pub(super) const MERGE: Arg = Arg::Function { parameters: 2, example: "|a, b| …" };
pub(super) const INVERSE: Arg = Arg::Function { parameters: 2, example: "|all, left| …" };

pub(super) static OPERATOR: Operator = Operator {
    name: "reduce_by_key_and_window",
    usage: "reduce_by_key_and_window(|a, b| …, \"30s\", \"1s\")",
    forms: &[
        &[MERGE, Arg::Length],
        &[MERGE, Arg::Length, Arg::Slide],
        &[MERGE, INVERSE, Arg::Length],
        &[MERGE, INVERSE, Arg::Length, Arg::Slide],
    ],
    doc: "one record per key and window",
    details: "Length and slide are those of `window`. With an inverse, `|all, left| all - left`, a slide costs by what \
              enters and leaves; a key goes when no batch of the window has it, whatever its value is. On a stream \
              with `event_time` length and slide are of event time, any number of milliseconds; without a slide \
              windows follow each other. A window emits once, when the watermark has passed its end, and the inverse is \
              not needed.",
    example: "pairs.reduce_by_key_and_window(|a, b| a + b, \"30s\", \"1s\")",
    partitioning: Effect::Makes,
    uniqueness: Effect::Makes,
    lower: Lower::Head(Begin {
        words,
        lower: |arguments, _| Lowered::reads([Read::keyed()]).keeping(keeps(arguments)),
        emit,
        record: whole,
    }),
    before: Some(panes),
    by_event_time: Some(&reduction::REDUCE_BY_KEY_AND_WINDOW),
    ..Operator::BASE
};

fn words(arguments: &Arguments) -> String {
    let inverse = if arguments.second_function().is_some() { " with inverse" } else { "" };
    format!("window reduce of {}{inverse}", arguments.length().unwrap_or(1))
}

/// What a window keeps that reduces.
pub(super) fn keeps(arguments: &Arguments) -> Keeps {
    let length = arguments.length().unwrap_or(1);
    match arguments.second_function() {
        Some(_) => Keeps::Derived(length),
        None => Keeps::Panes(length),
    }
}

/// Takes the inverse away where windows do not overlap: nothing that leaves one would have been in it.
pub(super) fn without_inverse(arguments: &mut Arguments) {
    if arguments.slide() > arguments.length() {
        arguments.remove_second_function();
    }
}

/// What a window reduces is first reduced per batch, so that each batch is looked at once however many windows
/// it is in. Another `reduce_by_key` with the same function then shares that work, and its shuffle.
fn panes(arguments: &mut Arguments, unique: bool) -> Option<Between> {
    without_inverse(arguments);
    let merge = Argument::Function(arguments.function().clone());
    (!unique).then(|| Between {
        suffix: "panes",
        operator: &reduce_by_key::OPERATOR,
        arguments: vec![merge].into(),
    })
}

pub(super) fn emit(head: &HeadCode<'_>) -> TokenStream {
    let (flow, span) = (head.flow(0), head.span());
    let merge = head.merge(head.arguments().function());
    match head.arguments().second_function() {
        None => quote!(__dstream::window_reduce(&#flow, #span, #merge)),
        Some(inverse) => {
            let inverse = head.merge(inverse);
            quote!(__dstream::window_reduce_inverse(&#flow, #span, #merge, #inverse))
        }
    }
}
