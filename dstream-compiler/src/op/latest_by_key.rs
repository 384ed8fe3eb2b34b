//! `latest_by_key`

use proc_macro2::Span;
use quote::quote_spanned;

use super::lower::whole;
use super::running_reduce::{self, EXPIRE_AFTER};
use super::{Begin, Effect, Lower, Lowered, Nature, Operator, Read};
use crate::codegen::emit;
use crate::ir::logical::Function;

pub(super) static OPERATOR: Operator = Operator {
    name: "latest_by_key",
    usage: "latest_by_key()",
    forms: &[&[]],
    named: &[EXPIRE_AFTER],
    doc: "the last value of each key so far",
    details: "A batch emits the last values of the keys that are in it, in the order of its input; those of a stream that is \
              read in several pieces at once are in the order of the pieces. A key is kept for ever, or with \
              `expire_after = \"30d\"` until it was in no batch for more than that. On the right of `join`, \
              `left_outer_join` or `subtract_by_key` it is a table: every record on the left meets the last value of its \
              key as of the batch, whichever batch brought it.",
    example: "pairs.latest_by_key()",
    partitioning: Effect::Makes,
    uniqueness: Effect::Makes,
    lower: Lower::Head(Begin {
        words: |_| "latest by key".to_owned(),
        lower: |arguments, at| {
            Lowered::reads([Read::combined(&last(at))]).keeping(running_reduce::keeps(arguments))
        },
        emit: |head| running_reduce::emit(head, &last(head.at())),
        record: whole,
    }),
    makes: Nature::Latest,
    ..Operator::BASE
};

fn last(at: Span) -> Function {
    emit::merge_of(at, |_, x| quote_spanned!(at=> #x))
}
