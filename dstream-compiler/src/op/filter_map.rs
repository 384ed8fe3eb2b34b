//! `filter_map`

use proc_macro2::TokenStream;
use quote::quote;

use super::{Arg, Lower, Operator};
use crate::codegen::emit::StepCode;

pub(super) static OPERATOR: Operator = Operator {
    name: "filter_map",
    usage: "filter_map(|record| …)",
    forms: &[&[Arg::Function { parameters: 1, example: "|record| …" }]],
    doc: "one record or none for each",
    details: "The function returns an `Option`.",
    example: "words.filter_map(|w| w.parse::<u64>().ok())",
    before_window: true,
    lower: Lower::Step { selects: false, emit },
    ..Operator::BASE
};

fn emit(step: &StepCode<'_>, then: &TokenStream) -> TokenStream {
    let made = &step.made;
    let (call, view) = (step.call("call_option", &step.given), step.view(made));
    quote! {
        if let __dstream::core::option::Option::Some(#made) = #call {
            let #made = #view;
            #then
        }
    }
}
