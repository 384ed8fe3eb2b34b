//! `reduce`

use proc_macro2::TokenStream;
use quote::quote;

use super::lower::whole;
use super::{Arg, Begin, Lower, Lowered, Operator, Read, reduce_by_window, reduction};
use crate::codegen::emit::HeadCode;
use crate::ir::flow::{self, Form};

pub(super) static OPERATOR: Operator = Operator {
    name: "reduce",
    usage: "reduce(|a, b| …)",
    forms: &[&[Arg::Function { parameters: 2, example: "|a, b| …" }]],
    doc: "one record per batch; none for an empty one",
    details: "The function must be associative and commutative: records are reduced in each partition first.",
    example: "numbers.reduce(|a, b| a.max(b))",
    over_window: Some(&reduce_by_window::OPERATOR),
    lower: Lower::Head(Begin {
        words: |_| "reduce".to_owned(),
        lower: |arguments, _| {
            Lowered::reads([Read::of(Form::function(&flow::FOLD, arguments.function()))])
        },
        emit,
        record: whole,
    }),
    over_event_time: Some(&reduction::REDUCE),
    ..Operator::BASE
};

fn emit(head: &HeadCode<'_>) -> TokenStream {
    let (path, slots) = (head.path("reduce"), head.slots());
    let merge = head.merge(head.arguments().function());
    quote!(#path(#slots, #merge))
}
