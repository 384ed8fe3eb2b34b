//! `running_reduce`

use quote::quote;

use super::lower::whole;
use super::{Arg, Arguments, Begin, Effect, Keeps, Lower, Lowered, Named, Operator, Read};
use crate::codegen::emit::HeadCode;
use crate::ir::logical::Function;

/// How long a key is kept that is not touched.
pub(super) const EXPIRE_AFTER: Named = Named {
    name: "expire_after",
    arg: Arg::Time("time"),
    example: "expire_after = \"30d\"",
    needs: None,
};

pub(super) static OPERATOR: Operator = Operator {
    name: "running_reduce",
    usage: "running_reduce(|a, b| …)",
    forms: &[&[Arg::Function { parameters: 2, example: "|a, b| …" }]],
    named: &[EXPIRE_AFTER],
    doc: "the reduction by key over all batches so far",
    details: "A batch emits the new values of the keys that are in it. A key is kept for ever, or with `expire_after = \
              \"30d\"` until it was in no batch for more than that: it is forgotten before the first batch that ends \
              later than that, and a record that comes then begins anew. A batch costs by the keys that are in it and \
              those that it forgets, not by the keys there are.",
    example: "pairs.running_reduce(|a, b| a + b, expire_after = \"30d\")",
    partitioning: Effect::Makes,
    uniqueness: Effect::Makes,
    lower: Lower::Head(Begin {
        words: |_| "running merge".to_owned(),
        lower: |arguments, _| {
            Lowered::reads([Read::combined(arguments.function())]).keeping(keeps(arguments))
        },
        emit: |head| emit(head, head.arguments().function()),
        record: whole,
    }),
    ..Operator::BASE
};

/// The values, for ever or until they expire.
pub(super) fn keeps(arguments: &Arguments) -> Keeps {
    match arguments.named_time(EXPIRE_AFTER.name) {
        Some(ms) => Keeps::Expiring(ms),
        None => Keeps::Values,
    }
}

/// The head that merges what it reads with the state.
pub(super) fn emit(head: &HeadCode<'_>, merge: &Function) -> proc_macro2::TokenStream {
    match head.arguments().named_time(EXPIRE_AFTER.name) {
        Some(ms) => head.merging_with("expiring", merge, &quote!(#ms)),
        None => head.merging("running", merge),
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{phase, physical};

    #[test]
    fn what_expires_is_said_in_the_plan() {
        let plan = physical(
            "let pairs = source::text(\"x:\").map(|l| (l, 1));
             pairs.running_reduce(add).print();
             pairs.running_reduce(add, expire_after = \"30d\").latest_by_key(expire_after = \"90s\").print();",
        );
        insta::assert_snapshot!(phase(&plan, "stages"), @r"
        stage 0  pairs.source = source 0, per range of pairs.source
          pairs = map |l| (l, 1)
            tail 0: combine
        stage 1  pairs.running_reduce = running merge flow 0, per partition, keeps previous batch until checkpoint
          tail 0: output pairs.running_reduce
        stage 2  pairs.running_reduce_2 = running merge flow 0, per partition, keeps previous batch for 720h until checkpoint
          tail 0: spread in the same partition
        stage 3  pairs.running_reduce_2.latest_by_key = latest by key flow 1, per partition, keeps previous batch for 90s until checkpoint
          tail 0: output pairs.running_reduce_2.latest_by_key
        flow 0  combined by add from 0.0
        flow 1  by key, same partition from 2.0
        ");
    }
}
