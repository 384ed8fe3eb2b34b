//! `key_by`

use proc_macro2::TokenStream;
use quote::quote;

use super::{Arg, Lower, Operator};
use crate::codegen::emit::StepCode;
use crate::codegen::names::local;

pub(super) static OPERATOR: Operator = Operator {
    name: "key_by",
    usage: "key_by(|record| …)",
    forms: &[&[Arg::Function { parameters: 1, example: "|record| …" }]],
    doc: "each record with a key made from it",
    details: "It makes pairs `(key, record)`.",
    example: "words.key_by(|w| w.len() as u64)",
    makes_key: true,
    before_window: true,
    lower: Lower::Step { selects: false, emit },
    ..Operator::BASE
};

fn emit(step: &StepCode<'_>, then: &TokenStream) -> TokenStream {
    let (given, made, key) = (&step.given, &step.made, local("key"));
    let (call, view) = (step.call("call", given), step.view(&key));
    quote! {
        let #key = #call;
        let #made = (#view, #given);
        #then
    }
}
