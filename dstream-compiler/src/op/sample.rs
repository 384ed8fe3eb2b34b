//! `sample`

use proc_macro2::TokenStream;
use quote::quote;

use super::{Arg, Effect, Lower, Operator};
use crate::codegen::emit::StepCode;
use crate::codegen::spans::{self, within};

pub(super) static OPERATOR: Operator = Operator {
    name: "sample",
    usage: "sample(0.1, 42)",
    forms: &[&[Arg::Constant("a fraction of the records"), Arg::Constant("a seed")]],
    doc: "about this fraction of the records, chosen by what they hold",
    details: "The fraction is an `f64` between 0 and 1, the seed a `u64`. A record is chosen by a hash of all of it and the \
              seed. So the same ones are chosen when a batch is computed again, with any number of partitions, in every \
              batch and every job; a smaller fraction of the same seed is a part of a greater one, and another seed chooses \
              independently. Equal records are chosen together: sample records that say what tells them apart.",
    example: "numbers.sample(0.1, 42)",
    partitioning: Effect::Keeps,
    uniqueness: Effect::Keeps,
    lower: Lower::Step { selects: true, emit },
    ..Operator::BASE
};

fn emit(step: &StepCode<'_>, then: &TokenStream) -> TokenStream {
    let (given, made) = (&step.given, &step.made);
    let path = spans::path(step.at.into(), "sampled");
    let values = step.arguments.functions().map(|value| &value.expr);
    let arguments = within(step.at, quote!(#given, #(#values),*));
    quote! {
        if #path #arguments {
            let #made = #given;
            #then
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{phase, physical};

    #[test]
    fn what_is_left_out_is_left_out_before_it_moves() {
        let plan = physical(
            "let lines = source::text(\"x:\");
             let seed = params.seed;
             lines.union(source::text(\"y:\")).sample(0.5, seed).distinct().print();",
        );
        insta::assert_snapshot!(phase(&plan, "stages"), @r"
        stage 0  lines = source 0, per range of lines
          lines.union.sample.left = sample 0.5, seed
            tail 0: combine (record, true)
        stage 1  source = source 1, per range of source
          lines.union.sample.right = sample 0.5, seed
            tail 0: combine (record, true)
        stage 2  lines.union.sample.distinct = distinct flow 0, per partition
          tail 0: output lines.union.sample.distinct
        flow 0  combined by |acc, x| acc from 0.0, 1.0
        ");
    }
}
