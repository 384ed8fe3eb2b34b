//! `map_values`

use proc_macro2::TokenStream;
use quote::quote;

use super::{Arg, Effect, Lower, Operator};
use crate::codegen::emit::StepCode;
use crate::codegen::names::local;
use crate::codegen::spans;

pub(super) static OPERATOR: Operator = Operator {
    name: "map_values",
    usage: "map_values(|value| …)",
    forms: &[&[Arg::Function { parameters: 1, example: "|value| …" }]],
    doc: "another value for the same key",
    details: "The records stay in the partition of their key, so an operator by key after it moves nothing.",
    example: "pairs.map_values(|n| n * 2)",
    partitioning: Effect::Keeps,
    uniqueness: Effect::Keeps,
    before_window: true,
    lower: Lower::Step { selects: false, emit },
    ..Operator::BASE
};

fn emit(step: &StepCode<'_>, then: &TokenStream) -> TokenStream {
    let (given, made, key) = (&step.given, &step.made, local("key"));
    let pair = spans::view(step.at.into(), "pair", given);
    let (call, view) = (step.call("call", made), step.view(made));
    quote! {
        let (#key, #made) = #pair;
        let #made = #call;
        let #made = (#key, #view);
        #then
    }
}
