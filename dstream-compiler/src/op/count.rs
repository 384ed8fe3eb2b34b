//! `count`

use proc_macro2::TokenStream;
use quote::quote;

use super::lower::whole;
use super::{Begin, Lower, Lowered, Operator, Read, count_by_window, reduction};
use crate::codegen::emit::HeadCode;
use crate::ir::flow::{self, Form};

pub(super) static OPERATOR: Operator = Operator {
    name: "count",
    usage: "count()",
    forms: &[&[]],
    doc: "the number of records per batch; 0 for an empty one",
    details: "It is a `u64`. A job with `count` runs every batch, also those without input.",
    example: "words.count()",
    silent: false,
    over_window: Some(&count_by_window::OPERATOR),
    lower: Lower::Head(Begin {
        words: |_| "count".to_owned(),
        lower: |_, _| Lowered::reads([Read::of(Form::plain(&flow::TALLY))]),
        emit,
        record: whole,
    }),
    over_event_time: Some(&reduction::COUNT),
    ..Operator::BASE
};

fn emit(head: &HeadCode<'_>) -> TokenStream {
    let slots = head.slots();
    quote!(__dstream::count(#slots))
}
