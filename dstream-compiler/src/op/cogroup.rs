//! `cogroup`

use super::lower::whole;
use super::{Arg, Begin, Effect, Lower, Lowered, Operator, Read};

pub(super) static OPERATOR: Operator = Operator {
    name: "cogroup",
    usage: "cogroup(stream)",
    forms: &[&[Arg::Stream]],
    doc: "per key the values of both streams, as two lists",
    details: "Of `(key, a)` and `(key, b)` it makes `(key, (list of a, list of b))`, for each key that one of the streams has in \
              the batch; the list of the other one may be empty. The values of a key are in the order of the batch, and all of \
              them are in memory at once.",
    example: "pairs.cogroup(others)",
    partitioning: Effect::Makes,
    uniqueness: Effect::Makes,
    lower: Lower::Head(Begin {
        words: |_| "cogroup".to_owned(),
        lower: |_, _| Lowered::reads([Read::keyed(), Read::keyed().from(1)]),
        emit: |head| head.of_two("cogroup"),
        record: whole,
    }),
    ..Operator::BASE
};

#[cfg(test)]
mod tests {
    use crate::testing::{phase, physical};

    #[test]
    fn each_key_stands_once_and_moves_once() {
        let plan = physical(
            "let lines = source::text(\"x:\");
             let counts = lines.map(|l| (l, 1)).reduce_by_key(add);
             let both = counts.cogroup(lines.key_by(f));
             both.running_reduce(first).print();",
        );
        insta::assert_snapshot!(phase(&plan, "partitioning"), @r"
        lines                  source::text
        lines.map              map ← lines
        counts                 reduce_by_key ← lines.map       by key since counts, each key once
        lines.key_by           key_by ← lines
        both                   cogroup ← counts, lines.key_by  by key since both, each key once
        both.running_reduce    running_reduce ← both           by key since both, each key once
        → both.running_reduce  print ← both.running_reduce     by key since both, each key once
        ");
        insta::assert_snapshot!(phase(&plan, "stages"), @r"
        stage 0  lines = source 0, per range of lines
          lines.map = map |l| (l, 1)
            tail 0: combine
          lines.key_by = key_by f
            tail 1: spread
        stage 1  counts = merge flow 0, per partition
          tail 0: spread in the same partition
        stage 2  both = cogroup flow 1 with flow 2, per partition
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
