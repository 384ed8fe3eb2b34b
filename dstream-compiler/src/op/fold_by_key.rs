//! `fold_by_key`

use proc_macro2::TokenStream;
use quote::quote;

use super::lower::whole;
use super::{
    Arg, Argument, Arguments, Begin, Between, Effect, Lower, Lowered, Operator, Read, reduction,
};
use crate::codegen::emit::StepCode;
use crate::codegen::names::local;
use crate::codegen::spans;
use crate::diag::Place;
use crate::ir::logical::Function;

pub(super) static OPERATOR: Operator = Operator {
    name: "fold_by_key",
    usage: "fold_by_key(init, |acc, value| …, |a, b| …)",
    forms: &[&[
        Arg::Constant("a value to begin with"),
        Arg::Function { parameters: 2, example: "|acc, value| …" },
        Arg::Function { parameters: 2, example: "|a, b| …" },
    ]],
    doc: "one record per key and batch, of another type than the values",
    details: "Each value is folded into the first argument by itself, and what comes out of that is merged by the second \
              function, in each task before it is moved, then with what other tasks have. So the second function must be \
              associative, and merging with what a value was folded into must be the same as folding the value.",
    example: "pairs.fold_by_key((0u64, 0u64), |(sum, n), x| (sum + x, n + 1), |a, b| (a.0 + b.0, a.1 + b.1))",
    partitioning: Effect::Makes,
    uniqueness: Effect::Makes,
    lower: Lower::Head(Begin {
        words: |_| "merge".to_owned(),
        lower: |arguments, _| Lowered::reads([Read::combined(merge(arguments))]),
        emit: |head| head.merging("merge", merge(head.arguments())),
        record: whole,
    }),
    before: Some(fold),
    over_event_time: Some(&reduction::FOLD_BY_KEY),
    ..Operator::BASE
};

fn merge(arguments: &Arguments) -> &Function {
    arguments.nth_function(2)
}

/// Values are folded where they are, so that the rest is a merge of one type.
pub(super) fn fold(arguments: &mut Arguments, _: bool) -> Option<Between> {
    let of = |at| Argument::Function(arguments.nth_function(at).clone());
    Some(Between { suffix: "folded", operator: &FOLD, arguments: vec![of(0), of(1)].into() })
}

/// A value folded into the first one: no operator of the language.
static FOLD: Operator = Operator {
    name: "fold_values",
    partitioning: Effect::Keeps,
    uniqueness: Effect::Keeps,
    lower: Lower::Step { selects: false, emit },
    ..Operator::BASE
};

fn emit(step: &StepCode<'_>, then: &TokenStream) -> TokenStream {
    let (init, fold) = (step.arguments.nth_function(0), step.arguments.nth_function(1));
    let (given, made) = (&step.given, &step.made);
    let (key, value, first, acc) = (local("key"), local("value"), local("first"), local("acc"));
    let pair = spans::view(step.at.into(), "pair", given);
    let view = spans::view(Place::of(&init.expr), "as_view", &first);
    let call = step.call2(&acc, &value, fold);
    let folded = spans::view(spans::result(fold), "as_view", made);
    let init = &init.expr;
    quote! {
        let (#key, #value) = #pair;
        let #first = #init;
        let #acc = #view;
        let #made = #call;
        let #made = (#key, #folded);
        #then
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{phase, physical};

    #[test]
    fn values_are_folded_where_they_are_and_merged_before_they_move() {
        let plan = physical(
            "let ones = source::text(\"x:\").map(|l| (l, 1));
             ones.fold_by_key((0, 0), fold, |a, b| (a.0 + b.0, a.1 + b.1)).print();
             ones.reduce_by_key(add).fold_by_key(0, fold, max).print();",
        );
        insta::assert_snapshot!(phase(&plan, "stages"), @r"
        stage 0  ones.source = source 0, per range of ones.source
          ones = map |l| (l, 1)
            ones.fold_by_key.folded = fold_values (0, 0), fold
              tail 0: combine
            tail 1: combine
        stage 1  ones.fold_by_key = merge flow 0, per partition
          tail 0: output ones.fold_by_key
        stage 2  ones.reduce_by_key = merge flow 1, per partition
          ones.reduce_by_key.fold_by_key.folded = fold_values 0, fold
            tail 0: spread in the same partition
        stage 3  ones.reduce_by_key.fold_by_key = merge flow 2, per partition
          tail 0: output ones.reduce_by_key.fold_by_key
        flow 0  combined by |a, b| (a.0 + b.0, a.1 + b.1) from 0.0
        flow 1  combined by add from 0.1
        flow 2  by key, same partition from 2.0
        ");
    }
}
