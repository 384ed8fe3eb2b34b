//! `top_k`

use proc_macro2::TokenStream;
use quote::quote;

use super::lower::{whole, with_time};
use super::{
    Arg, Argument, Arguments, Begin, Entry, EntryText, Lower, Lowered, Operator, Read, Times,
};
use crate::codegen::emit::{EntryCode, HeadCode, time};
use crate::codegen::names::local;
use crate::ir::flow::{self, Form};

const FORMS: &[&[Arg]] =
    &[&[Arg::Value("a number of records"), Arg::Function { parameters: 1, example: "|record| …" }]];

pub(super) static OPERATOR: Operator = Operator {
    name: "top_k",
    usage: "top_k(10, |record| …)",
    forms: FORMS,
    doc: "the records of a batch with the greatest scores, best first",
    details: "Records of equal scores are in their own order. Of the results of event-time windows, the best of each \
              window.",
    example: "pairs.top_k(10, |(_, n)| n)",
    lower: Lower::Head(Begin {
        words: |_| "top".to_owned(),
        lower: |arguments, _| Lowered::reads([Read::of(form(arguments))]),
        emit,
        record: whole,
    }),
    by_window: Some(&BY_WINDOW),
    ..Operator::BASE
};

/// The same of each window.
static BY_WINDOW: Operator = Operator {
    name: "top_k",
    usage: "top_k(10, |record| …)",
    forms: FORMS,
    doc: "the records of a window with the greatest scores, best first",
    times: Times::Keeps,
    lower: Lower::Head(Begin {
        words: |_| "top of each window".to_owned(),
        lower: |arguments, _| {
            let score = emit_window_score;
            let form = Form { kind: &flow::WINDOW_TOP, ..form_of(arguments, score) };
            Lowered::reads([Read::of(form)])
        },
        emit: |head| {
            let (path, slots) = (head.path("window_top_k"), head.slots());
            let k = head.arguments().value();
            quote!(#path(#slots, #k))
        },
        record: with_time,
    }),
    ..Operator::BASE
};

fn form(arguments: &Arguments) -> Form {
    form_of(arguments, emit_score)
}

fn form_of(arguments: &Arguments, emit: fn(&EntryCode<'_>) -> EntryText) -> Form {
    let score = arguments.function().clone();
    Form {
        kind: &flow::TOP,
        argument: Some(Argument::Value(arguments.value().clone())),
        entry: Some(Entry { words: "by", function: Some(score), spans: Vec::new(), emit }),
    }
}

/// The score leaves with the record.
fn emit_score(entry: &EntryCode<'_>) -> EntryText {
    let (record, score) = (&entry.record, local("score"));
    let (call, view) = (entry.call("call"), entry.view(&score));
    EntryText { before: quote!(let #score = #call;), values: quote!(#view, #record) }
}

/// And so does its window.
fn emit_window_score(entry: &EntryCode<'_>) -> EntryText {
    let (EntryText { before, values }, time) = (emit_score(entry), time());
    EntryText { before, values: quote!(#time, #values) }
}

fn emit(head: &HeadCode<'_>) -> TokenStream {
    let (path, slots, k) = (head.path("top_k"), head.slots(), head.arguments().value());
    quote!(#path(#slots, #k))
}
