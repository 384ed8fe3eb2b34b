//! `group_by_key`

use super::lower::whole;
use super::{Begin, Effect, Lower, Lowered, Operator, Read, group_by_key_and_window, reduction};

pub(super) static OPERATOR: Operator = Operator {
    name: "group_by_key",
    usage: "group_by_key()",
    forms: &[&[]],
    doc: "per key its values of the batch, as a list",
    details: "Of `(key, value)` it makes `(key, list of values)`, the values in the order of the batch. All of them are moved, \
              and those of a key are in memory at once: where they are merged in the end, `reduce_by_key` and `fold_by_key` \
              move one value per key and task.",
    example: "pairs.group_by_key()",
    partitioning: Effect::Makes,
    uniqueness: Effect::Makes,
    over_window: Some(&group_by_key_and_window::OPERATOR),
    lower: Lower::Head(Begin {
        words: |_| "group".to_owned(),
        lower: |_, _| Lowered::reads([Read::keyed()]),
        emit: |head| head.of("group_by_key"),
        record: whole,
    }),
    over_event_time: Some(&reduction::GROUP_BY_KEY),
    ..Operator::BASE
};

#[cfg(test)]
mod tests {
    use crate::testing::{phase, physical};

    #[test]
    fn values_move_once_and_not_if_they_are_by_key_already() {
        let plan = physical(
            "let ones = source::text(\"x:\").map(|l| (l, 1));
             ones.group_by_key().map_values(|l| l.len()).running_reduce(add).print();
             ones.reduce_by_key(add).group_by_key().print();",
        );
        insta::assert_snapshot!(phase(&plan, "stages"), @r"
        stage 0  ones.source = source 0, per range of ones.source
          ones = map |l| (l, 1)
            tail 0: spread
            tail 1: combine
        stage 1  ones.group_by_key = group flow 0, per partition
          ones.group_by_key.map_values = map_values |l| l.len()
            tail 0: spread in the same partition
        stage 2  ones.group_by_key.map_values.running_reduce = running merge flow 1, per partition, keeps previous batch until checkpoint
          tail 0: output ones.group_by_key.map_values.running_reduce
        stage 3  ones.reduce_by_key = merge flow 2, per partition
          tail 0: spread in the same partition
        stage 4  ones.reduce_by_key.group_by_key = group flow 3, per partition
          tail 0: output ones.reduce_by_key.group_by_key
        flow 0  by key from 0.0
        flow 1  by key, same partition from 1.0
        flow 2  combined by add from 0.1
        flow 3  by key, same partition from 3.0
        ");
    }
}
