//! `distinct_by`

use quote::quote;

use super::running_reduce::{self, EXPIRE_AFTER};
use super::{Arg, Arguments, Begin, Entry, EntryText, Lower, Lowered, Operator, Read, distinct};
use crate::codegen::emit::{EntryCode, HeadCode};
use crate::codegen::names::local;
use crate::ir::flow::{self, Form};

pub(super) static OPERATOR: Operator = Operator {
    name: "distinct_by",
    usage: "distinct_by(|record| …)",
    forms: &[&[Arg::Function { parameters: 1, example: "|record| …" }]],
    named: &[EXPIRE_AFTER],
    doc: "the first record of each key so far",
    details: "The function makes the key, which is remembered for ever: the state grows with the keys. With \
              `expire_after = \"30d\"` it is remembered until it was in no batch for more than that.",
    example: "words.distinct_by(|w| w.len() as u64)",
    makes_key: true,
    lower: Lower::Head(Begin {
        words: |_| "first by key".to_owned(),
        lower: |arguments, at| {
            let form = Form {
                entry: Some(entry(arguments)),
                ..Form::function(&flow::COMBINED, &distinct::first(at))
            };
            Lowered::reads([Read::of(form)]).keeping(running_reduce::keeps(arguments))
        },
        emit,
        record: |record| quote!((_, #record)),
    }),
    ..Operator::BASE
};

/// The record leaves with its key.
fn entry(arguments: &Arguments) -> Entry {
    Entry {
        words: "by",
        function: Some(arguments.function().clone()),
        spans: Vec::new(),
        emit: emit_key,
    }
}

fn emit_key(entry: &EntryCode<'_>) -> EntryText {
    let (record, key) = (&entry.record, local("key"));
    let (call, view) = (entry.call("call"), entry.view(&key));
    EntryText { before: quote!(let #key = #call;), values: quote!((#view, #record)) }
}

fn emit(head: &HeadCode<'_>) -> proc_macro2::TokenStream {
    let remembered = match head.arguments().named_time(EXPIRE_AFTER.name) {
        Some(ms) => quote!(__dstream::Remembered::FromLast(#ms)),
        None => quote!(__dstream::Remembered::Always),
    };
    head.merging_with("firsts", &distinct::first(head.at()), &remembered)
}
