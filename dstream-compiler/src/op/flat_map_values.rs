//! `flat_map_values`

use proc_macro2::TokenStream;
use quote::quote;

use super::{Arg, Effect, Lower, Operator};
use crate::codegen::emit::StepCode;
use crate::codegen::names::local;
use crate::codegen::spans;

pub(super) static OPERATOR: Operator = Operator {
    name: "flat_map_values",
    usage: "flat_map_values(|value| …)",
    forms: &[&[Arg::Function { parameters: 1, example: "|value| …" }]],
    doc: "any number of values for the same key",
    details: "The function returns an iterator, or what can be iterated over; each of its items becomes a record with the \
              key. The records stay in the partition of their key, so an operator by key after it moves nothing.",
    example: "pairs.flat_map_values(|n| [n, n + 1])",
    partitioning: Effect::Keeps,
    before_window: true,
    lower: Lower::Step { selects: false, emit },
    ..Operator::BASE
};

fn emit(step: &StepCode<'_>, then: &TokenStream) -> TokenStream {
    let (given, made, key, many) = (&step.given, &step.made, local("key"), local("many"));
    let pair = spans::view(step.at.into(), "pair", given);
    let (call, view) = (step.call("call", &many), step.view(made));
    let items = spans::value(step.result(), "items", &many);
    let next = spans::next(step.result(), &many);
    quote! {
        let (#key, #many) = #pair;
        let #many = #call;
        let mut #many = #items;
        while let __dstream::core::option::Option::Some(#made) = #next {
            let #made = (#key, #view);
            #then
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{phase, physical};

    #[test]
    fn values_stay_with_their_key_which_may_then_stand_more_than_once() {
        let plan = physical(
            "let counts = source::text(\"x:\").map(|l| (l, 1)).reduce_by_key(add);
             let parts = counts.flat_map_values(|n| 0..n);
             parts.reduce_by_key_and_window(add, \"3s\").print();",
        );
        insta::assert_snapshot!(phase(&plan, "stages"), @r"
        stage 0  counts.source = source 0, per range of counts.source
          counts.source.map = map |l| (l, 1)
            tail 0: combine
        stage 1  counts = merge flow 0, per partition
          parts = flat_map_values |n| 0..n
            tail 0: spread in the same partition
        stage 2  parts.reduce_by_key_and_window.panes = merge flow 1, per partition
          tail 0: spread in the same partition
        stage 3  parts.reduce_by_key_and_window = window reduce of 3 flow 2, per partition, keeps 3 panes until end of the window
          tail 0: output parts.reduce_by_key_and_window
        flow 0  combined by add from 0.0
        flow 1  by key, same partition from 1.0
        flow 2  by key, same partition from 2.0
        ");
    }
}
