//! `map`

use proc_macro2::TokenStream;
use quote::quote;

use super::{Arg, Lower, Operator};
use crate::codegen::emit::StepCode;

pub(super) static OPERATOR: Operator = Operator {
    name: "map",
    usage: "map(|record| …)",
    forms: &[&[Arg::Function { parameters: 1, example: "|record| …" }]],
    doc: "one record for each",
    details: "",
    example: "words.map(|w| (w, w.len() as u64))",
    before_window: true,
    lower: Lower::Step { selects: false, emit },
    ..Operator::BASE
};

fn emit(step: &StepCode<'_>, then: &TokenStream) -> TokenStream {
    let made = &step.made;
    let (call, view) = (step.call("call", &step.given), step.view(made));
    quote! {
        let #made = #call;
        let #made = #view;
        #then
    }
}
