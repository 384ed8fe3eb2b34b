//! `update_state_by_key`

use proc_macro2::TokenStream;
use quote::quote;

use super::lower::whole;
use super::{Arg, Begin, Effect, Keeps, Lower, Lowered, Operator, Read};
use crate::codegen::emit::HeadCode;

pub(super) static OPERATOR: Operator = Operator {
    name: "update_state_by_key",
    usage: "update_state_by_key(|values, state| …)",
    forms: &[&[Arg::Stateful { parameters: 2, example: "|values, state| …" }]],
    doc: "the state of every key, computed anew in each batch",
    details: "The function is called for every key that has a state or is in the batch, with a slice of the batch's values of \
              the key, which may be empty, and an `Option` of the state; it returns the next state, or `None` to remove the key. \
              A batch emits `(key, state)` of all keys, so it costs by the keys there are: `track` and `running_reduce` cost by \
              the keys in the batch.",
    example: "pairs.update_state_by_key(|values, sum: Option<u64>| Some(sum.unwrap_or(0) + values.iter().sum::<u64>()))",
    partitioning: Effect::Makes,
    uniqueness: Effect::Makes,
    silent: false,
    lower: Lower::Head(Begin {
        words: |_| "update state".to_owned(),
        lower: |_, _| Lowered::reads([Read::keyed()]).keeping(Keeps::Values),
        emit,
        record: whole,
    }),
    ..Operator::BASE
};

fn emit(head: &HeadCode<'_>) -> TokenStream {
    let (path, flow, seed) = (head.path("update_state"), head.flow(0), head.seed());
    let update = head.returning(head.arguments().function(), &["x", "state"]);
    quote!(#path(&#flow, #update, #seed))
}
