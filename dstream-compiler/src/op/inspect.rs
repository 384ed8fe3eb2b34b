//! `inspect`

use proc_macro2::TokenStream;
use quote::quote;

use super::{Arg, Effect, Lower, Operator};
use crate::codegen::emit::StepCode;

pub(super) static OPERATOR: Operator = Operator {
    name: "inspect",
    usage: "inspect(|record| …)",
    forms: &[&[Arg::Function { parameters: 1, example: "|record| …" }]],
    doc: "shows each record to a function, and passes it on",
    details: "The function returns nothing, and runs where the record is computed, which may be another process. It is \
              for looking, not for storing: a record that is computed again, after a loss or by a second attempt at a slow \
              task, is shown again. `foreach_batch` is what tells a store exactly once.",
    example: "words.inspect(|w| println!(\"{w}\"))",
    partitioning: Effect::Keeps,
    uniqueness: Effect::Keeps,
    observes: true,
    lower: Lower::Step { selects: false, emit },
    ..Operator::BASE
};

fn emit(step: &StepCode<'_>, then: &TokenStream) -> TokenStream {
    let (given, made) = (&step.given, &step.made);
    let look = step.call("inspect", given);
    quote! {
        #look;
        let #made = #given;
        #then
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{phase, physical};

    #[test]
    fn two_that_are_alike_both_look() {
        let plan = physical(
            "let counts = source::text(\"x:\").map(|l| (l, 1)).reduce_by_key(add);
             counts.inspect(|r| log(r)).running_reduce(add).print();
             counts.inspect(|r| log(r)).filter(|_| true).print();",
        );
        insta::assert_snapshot!(phase(&plan, "stages"), @r"
        stage 0  counts.source = source 0, per range of counts.source
          counts.source.map = map |l| (l, 1)
            tail 0: combine
        stage 1  counts = merge flow 0, per partition
          counts.inspect = inspect |r| log(r)
            tail 0: spread in the same partition
          counts.inspect_2 = inspect |r| log(r)
            counts.inspect_2.filter = filter |_| true
              tail 1: output counts.inspect_2.filter
        stage 2  counts.inspect.running_reduce = running merge flow 1, per partition, keeps previous batch until checkpoint
          tail 0: output counts.inspect.running_reduce
        flow 0  combined by add from 0.0
        flow 1  by key, same partition from 1.0
        ");
    }
}
