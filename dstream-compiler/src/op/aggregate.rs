//! `aggregate_by_key`, `aggregate`, `running_aggregate`: each is an accumulator of every value, a reduction of these by an
//! operator that is there already, and the result of what that has made.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};

use super::running_reduce::EXPIRE_AFTER;
use super::{Arg, Effect, Expansion, Lower, Operator, reduce, reduce_by_key, running_reduce};
use crate::codegen::emit::StepCode;
use crate::codegen::names::local;
use crate::codegen::spans;
use crate::diag::Place;

const A: Arg = Arg::Aggregate;

/// One aggregate to eight.
const FORMS: &[&[Arg]] = &[&[A], &[A; 2], &[A; 3], &[A; 4], &[A; 5], &[A; 6], &[A; 7], &[A; 8]];

pub(super) static BY_KEY: Operator = Operator {
    name: "aggregate_by_key",
    usage: "aggregate_by_key(agg::count(), agg::mean(|value| …))",
    forms: FORMS,
    doc: "one record per key and batch: what its values come to",
    details: "Up to eight aggregates make a tuple of results, one makes its result. `agg::count()`, `sum`, `mean`, `variance`, `min`, \
              `max`, `min_by` and `max_by` (of pairs `(score, value)`), `top_k(k)`, `quantile(q)` within 1 %, `distinct()`, and \
              `approx_distinct()` within 1.6 %: each of what its closure returns, or of the values. `some(aggregate)` takes the values \
              that are `Some`. Results are the same to the \
              bit however records are spread; float sums are exact, and rounded once. After `window` and `session` it is per \
              window. Values are merged in each task before they are moved. An aggregate of your own implements `agg::Aggregate`.",
    example: "pairs.aggregate_by_key(agg::count(), agg::mean(|n| n))",
    partitioning: Effect::Makes,
    uniqueness: Effect::Makes,
    expands: Some(&Expansion {
        begins: &BEGIN_BY_KEY,
        reduces: &reduce_by_key::OPERATOR,
        finishes: &FINISH_BY_KEY,
    }),
    ..EXPANDED
};

pub(super) static ALL: Operator = Operator {
    name: "aggregate",
    usage: "aggregate(agg::count(), agg::mean(|record| …))",
    forms: FORMS,
    doc: "one record per batch: what its records come to; none for an empty one",
    details: "As `aggregate_by_key`, of all records.",
    example: "words.aggregate(agg::count(), agg::quantile(0.5, |w| w.len() as u64))",
    expands: Some(&Expansion { begins: &BEGIN, reduces: &reduce::OPERATOR, finishes: &FINISH }),
    ..EXPANDED
};

pub(super) static RUNNING: Operator = Operator {
    name: "running_aggregate",
    usage: "running_aggregate(agg::count(), agg::mean(|value| …))",
    forms: FORMS,
    named: &[EXPIRE_AFTER],
    doc: "what the values of each key have come to over all batches so far",
    details: "As `aggregate_by_key`, merged with what the key came to before. A batch emits the new results of the keys that are in \
              it. A key is kept for ever, or with `expire_after = \"30d\"` until it was in no batch for more than that.",
    example: "pairs.running_aggregate(agg::count(), agg::max(|n| n))",
    partitioning: Effect::Makes,
    uniqueness: Effect::Makes,
    expands: Some(&Expansion {
        begins: &BEGIN_BY_KEY,
        reduces: &running_reduce::OPERATOR,
        finishes: &FINISH_BY_KEY,
    }),
    ..EXPANDED
};

/// What stands for an operator that never stands in a plan: its parts do.
const EXPANDED: Operator = Operator {
    lower: Lower::Step { selects: false, emit: |_, then| then.clone() },
    ..Operator::BASE
};

/// A step that the compiler puts in.
const STEP: Operator =
    Operator { partitioning: Effect::Keeps, uniqueness: Effect::Keeps, ..Operator::BASE };

/// The accumulators of a value. A window of them is made of those of its batches.
static BEGIN_BY_KEY: Operator = Operator {
    name: "begin_by_key",
    before_window: true,
    lower: Lower::Step {
        selects: false,
        emit: |step, then| {
            let (made, key, value) = (&step.made, local("key"), local("value"));
            let pair = spans::view(step.at.into(), "pair", &step.given);
            let (acc, begun) = (local("acc"), begun(step));
            let view = spans::view(step.at.into(), "as_view", &acc);
            quote! {
                let (#key, #value) = #pair;
                let #acc = #begun;
                let #made = (#key, #view);
                #then
            }
        },
    },
    ..STEP
};

/// The accumulators of a record.
static BEGIN: Operator = Operator {
    name: "begin",
    before_window: true,
    lower: Lower::Step {
        selects: false,
        emit: |step, then| {
            let (given, made, value) = (&step.given, &step.made, local("value"));
            let (acc, begun) = (local("acc"), begun(step));
            let view = spans::view(step.at.into(), "as_view", &acc);
            quote! {
                let #value = #given;
                let #acc = #begun;
                let #made = #view;
                #then
            }
        },
    },
    ..STEP
};

/// The accumulator of `value`, or a tuple of several. The arguments are, for each aggregate, its value and its closure.
fn begun(step: &StepCode<'_>) -> TokenStream {
    let functions: Vec<_> = step.arguments.functions().collect();
    let (value, item, many) = (local("value"), local("item"), local("many"));
    let accumulators: Vec<_> = functions
        .chunks_exact(2)
        .map(|of| {
            let (aggregate, place) = (&of[0].expr, Place::of(&of[0].expr));
            let call = step.call_of("call", &value, of[1]);
            let begin = spans::path(place, "begin");
            let (of_many, of_item) = (&many, &item);
            let reference = quote_spanned!(place.start()=> &);
            let (many, item) = (spans::moved(place, &many), spans::moved(place, &item));
            let arguments = spans::within(place.end(), quote!(#reference #many, #reference #item));
            quote! {{
                let #of_item = #call;
                let #of_many = #aggregate;
                #begin #arguments
            }}
        })
        .collect();
    match &accumulators[..] {
        [one] => one.clone(),
        several => quote!((#(#several),*)),
    }
}

/// The results of a key.
static FINISH_BY_KEY: Operator = Operator {
    name: "finish_by_key",
    lower: Lower::Step {
        selects: false,
        emit: |step, then| {
            let (made, key, value) = (&step.made, local("key"), local("value"));
            let pair = spans::view(step.at.into(), "pair", &step.given);
            let view = spans::view(step.at.into(), "as_view", &value);
            quote! {
                let (#key, #value) = #pair;
                let #value = __dstream::finish(&#value);
                let #made = (#key, #view);
                #then
            }
        },
    },
    ..STEP
};

/// The results of a batch.
static FINISH: Operator = Operator {
    name: "finish",
    lower: Lower::Step {
        selects: false,
        emit: |step, then| {
            let (given, made, value) = (&step.given, &step.made, local("value"));
            let view = spans::view(step.at.into(), "as_view", &value);
            quote! {
                let #value = __dstream::finish(&#given);
                let #made = #view;
                #then
            }
        },
    },
    ..STEP
};

#[cfg(test)]
mod tests {
    use crate::testing::{phase, physical};

    #[test]
    fn accumulators_are_merged_before_they_move_and_by_the_panes_of_a_window() {
        let plan = physical(
            "let ones = source::text(\"x:\").map(|l| (l, 1));
             ones.aggregate_by_key(agg::count(), agg::mean(|n| n)).print();
             ones.window(\"4s\", \"2s\").aggregate_by_key(agg::sum()).print();",
        );
        insta::assert_snapshot!(phase(&plan, "stages"), @r"
        stage 0  ones.source = source 0, per range of ones.source
          ones = map |l| (l, 1)
            ones.aggregate_by_key.begun = begin_by_key agg::count(), |x| x, agg::mean(), |n| n
              tail 0: combine
            ones.window.aggregate_by_key.begun = begin_by_key agg::sum(), |x| x
              tail 1: combine
        stage 1  ones.aggregate_by_key.merged = merge flow 0, per partition
          ones.aggregate_by_key = finish_by_key 
            tail 0: output ones.aggregate_by_key
        stage 2  ones.window.aggregate_by_key.merged.panes = merge flow 1, per partition
          tail 0: spread in the same partition
        stage 3  ones.window.aggregate_by_key.merged = window reduce of 4 flow 2, per partition, keeps 4 panes until end of the window, every 1 emits every 2
          ones.window.aggregate_by_key = finish_by_key 
            tail 0: output ones.window.aggregate_by_key
        flow 0  combined by their merge from 0.0
        flow 1  combined by their merge from 0.1
        flow 2  by key, same partition from 2.0
        ");
    }
}
