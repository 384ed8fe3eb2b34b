//! `subtract_by_key`

use super::lower::whole;
use super::{Arg, Begin, Effect, Lower, Lowered, Operator, Read};

pub(super) static OPERATOR: Operator = Operator {
    name: "subtract_by_key",
    usage: "subtract_by_key(stream)",
    forms: &[&[Arg::Stream]],
    doc: "the records whose key the other stream does not have",
    details: "It is by batch: a record stays if no record of the other stream in the same batch has its key. Subtract a window \
              for more than that. The values of the other stream do not matter.",
    example: "pairs.subtract_by_key(others)",
    partitioning: Effect::Makes,
    uniqueness: Effect::Keeps,
    lower: Lower::Head(Begin {
        words: |_| "subtract".to_owned(),
        lower: |_, _| Lowered::reads([Read::keyed(), Read::keyed().from(1)]),
        emit: |head| head.of_two("subtract_by_key"),
        record: whole,
    }),
    ..Operator::BASE
};

#[cfg(test)]
mod tests {
    use crate::testing::{phase, physical};

    #[test]
    fn keys_that_stood_once_still_do() {
        let plan = physical(
            "let lines = source::text(\"x:\");
             let counts = lines.map(|l| (l, 1)).reduce_by_key(add);
             let both = counts.subtract_by_key(lines.key_by(f));
             both.running_reduce(first).print();",
        );
        insta::assert_snapshot!(phase(&plan, "partitioning"), @r"
        lines                  source::text
        lines.map              map ← lines
        counts                 reduce_by_key ← lines.map               by key since counts, each key once
        lines.key_by           key_by ← lines
        both                   subtract_by_key ← counts, lines.key_by  by key since both, each key once
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
        stage 2  both = subtract flow 1 with flow 2, per partition
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
