//! `filter`

use proc_macro2::TokenStream;
use quote::quote;

use super::{Arg, Effect, Lower, Operator};
use crate::codegen::emit::StepCode;

pub(super) static OPERATOR: Operator = Operator {
    name: "filter",
    usage: "filter(|record| …)",
    forms: &[&[Arg::Function { parameters: 1, example: "|record| …" }]],
    doc: "the records for which the function holds",
    details: "",
    example: "words.filter(|w| w.len() > 3)",
    partitioning: Effect::Keeps,
    uniqueness: Effect::Keeps,
    before_window: true,
    lower: Lower::Step { selects: true, emit },
    ..Operator::BASE
};

fn emit(step: &StepCode<'_>, then: &TokenStream) -> TokenStream {
    let (given, made) = (&step.given, &step.made);
    let test = step.call("test", given);
    quote! {
        if #test {
            let #made = #given;
            #then
        }
    }
}
