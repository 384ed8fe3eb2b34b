//! `full_outer_join`

use super::lower::whole;
use super::{Arg, Begin, Effect, Lower, Lowered, Operator, Read};

pub(super) static OPERATOR: Operator = Operator {
    name: "full_outer_join",
    usage: "full_outer_join(stream)",
    forms: &[&[Arg::Stream]],
    doc: "pairs of records with the same key, and what has no partner with `None`",
    details: "Of `(key, a)` and `(key, b)` it makes `(key, (Some(a), Some(b)))`; a record whose key the other stream does not \
              have in the batch gives `(key, (Some(a), None))` or `(key, (None, Some(b)))`. Several records of a key on both \
              sides give all their pairs.",
    example: "pairs.full_outer_join(others)",
    partitioning: Effect::Makes,
    lower: Lower::Head(Begin {
        words: |_| "full outer join".to_owned(),
        lower: |_, _| Lowered::reads([Read::keyed(), Read::keyed().from(1)]),
        emit: |head| head.of_two("full_outer_join"),
        record: whole,
    }),
    ..Operator::BASE
};

#[cfg(test)]
mod tests {
    use crate::testing::{phase, physical};

    #[test]
    fn what_lies_by_key_already_does_not_move() {
        let plan = physical(
            "let lines = source::text(\"x:\");
             let counts = lines.map(|l| (l, 1)).reduce_by_key(add);
             let both = counts.full_outer_join(lines.key_by(f));
             both.running_reduce(first).print();",
        );
        insta::assert_snapshot!(phase(&plan, "partitioning"), @r"
        lines                  source::text
        lines.map              map ← lines
        counts                 reduce_by_key ← lines.map               by key since counts, each key once
        lines.key_by           key_by ← lines
        both                   full_outer_join ← counts, lines.key_by  by key since both
        both.running_reduce    running_reduce ← both                   by key since both, each key once
        → both.running_reduce  print ← both.running_reduce             by key since both, each key once
        ");
        insta::assert_snapshot!(phase(&plan, "stages"), @r"
        stage 0  lines = source 0, per range of lines
          lines.map = map |l| (l, 1)
            tail 0: combine
          lines.key_by = key_by f
            tail 1: spread
        stage 1  counts = merge flow 0, per partition
          tail 0: spread in the same partition
        stage 2  both = full outer join flow 1 with flow 2, per partition
          tail 0: spread in the same partition
        stage 3  both.running_reduce = running merge flow 3, per partition, keeps previous batch until checkpoint
          tail 0: output both.running_reduce
        flow 0  combined by add from 0.0
        flow 1  by key, same partition from 1.0
        flow 2  by key from 0.1
        flow 3  by key, same partition from 2.0
        ");
    }
}
