//! `flat_map`

use proc_macro2::TokenStream;
use quote::quote;

use super::{Arg, Lower, Operator};
use crate::codegen::emit::StepCode;
use crate::codegen::names::local;
use crate::codegen::spans;

pub(super) static OPERATOR: Operator = Operator {
    name: "flat_map",
    usage: "flat_map(|record| …)",
    forms: &[&[Arg::Function { parameters: 1, example: "|record| …" }]],
    doc: "any number of records for each",
    details: "The function returns an iterator, or what can be iterated over.",
    example: "words.flat_map(|w| w.split('-'))",
    before_window: true,
    lower: Lower::Step { selects: false, emit },
    ..Operator::BASE
};

pub(super) fn emit(step: &StepCode<'_>, then: &TokenStream) -> TokenStream {
    let (made, many) = (&step.made, local("many"));
    let (call, view) = (step.call("call", &step.given), step.view(made));
    let items = spans::value(step.result(), "items", &many);
    let next = spans::next(step.result(), &many);
    quote! {
        let #many = #call;
        let mut #many = #items;
        while let __dstream::core::option::Option::Some(#made) = #next {
            let #made = #view;
            #then
        }
    }
}
