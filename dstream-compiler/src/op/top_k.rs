//! `top_k`

use proc_macro2::TokenStream;
use quote::quote;

use super::lower::whole;
use super::{Arg, Argument, Arguments, Begin, Entry, EntryText, Lower, Lowered, Operator, Read};
use crate::codegen::emit::{EntryCode, HeadCode};
use crate::codegen::names::local;
use crate::ir::flow::{self, Form};

pub(super) static OPERATOR: Operator = Operator {
    name: "top_k",
    usage: "top_k(10, |record| …)",
    forms: &[&[
        Arg::Value("a number of records"),
        Arg::Function { parameters: 1, example: "|record| …" },
    ]],
    doc: "the records of a batch with the greatest scores, best first",
    details: "Records of equal scores are in their own order.",
    example: "pairs.top_k(10, |(_, n)| n)",
    lower: Lower::Head(Begin {
        words: |_| "top".to_owned(),
        lower: |arguments, _| Lowered::reads([Read::of(form(arguments))]),
        emit,
        record: whole,
    }),
    ..Operator::BASE
};

fn form(arguments: &Arguments) -> Form {
    let score = arguments.function().clone();
    Form {
        kind: &flow::TOP,
        argument: Some(Argument::Value(arguments.value().clone())),
        entry: Some(Entry { words: "by", function: Some(score), emit: emit_score }),
    }
}

/// The score leaves with the record.
fn emit_score(entry: &EntryCode<'_>) -> EntryText {
    let (record, score) = (&entry.record, local("score"));
    let (call, view) = (entry.call("call"), entry.view(&score));
    EntryText { before: quote!(let #score = #call;), values: quote!(#view, #record) }
}

fn emit(head: &HeadCode<'_>) -> TokenStream {
    let (path, slots, k) = (head.path("top_k"), head.slots(), head.arguments().value());
    quote!(#path(#slots, #k))
}
