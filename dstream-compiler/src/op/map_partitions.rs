//! `map_partitions`

use super::lower::whole;
use super::{Arg, Arguments, Begin, Between, Lower, Lowered, Operator, Read, flat_map};

pub(super) static OPERATOR: Operator = Operator {
    name: "map_partitions",
    usage: "map_partitions(|rows| …)",
    forms: &[&[Arg::Function { parameters: 1, example: "|rows| …" }]],
    doc: "any number of records for all those of a partition",
    details: "The function is given the records of one partition of the batch as a list, in their order, and returns an \
              iterator, or what can be iterated over. A partition without records is left out. Which records are in one \
              partition is the same when a batch is computed again, and not the same with another number of partitions: what \
              must not depend on that is for `reduce_by_key` or `group_by_key`, after which a partition holds whole keys. The \
              records of a partition are in memory at once.",
    example: "numbers.map_partitions(|rows| [rows.iter().sum::<u64>()])",
    lower: Lower::Step { selects: false, emit: flat_map::emit },
    before: Some(rows),
    ..Operator::BASE
};

fn rows(_: &mut Arguments, _: bool) -> Option<Between> {
    let arguments = Arguments::default();
    Some(Between { suffix: "rows", operator: &PARTITION_ROWS, arguments })
}

/// The records of a partition as one list: no operator of the language.
static PARTITION_ROWS: Operator = Operator {
    name: "partition_rows",
    lower: Lower::Head(Begin {
        words: |_| "rows as a list".to_owned(),
        lower: |_, _| Lowered::reads([Read::rows()]),
        emit: |head| head.of("partition_rows"),
        record: whole,
    }),
    ..Operator::BASE
};

#[cfg(test)]
mod tests {
    use crate::testing::{phase, physical};

    #[test]
    fn the_records_of_a_partition_are_one_list() {
        let plan = physical(
            "let counts = source::text(\"x:\").map(|l| (l, 1)).reduce_by_key(add);
             counts.map_partitions(|rows| best(rows)).top_k(3, |(_, n)| *n).print();",
        );
        insta::assert_snapshot!(phase(&plan, "stages"), @r"
        stage 0  counts.source = source 0, per range of counts.source
          counts.source.map = map |l| (l, 1)
            tail 0: combine
        stage 1  counts = merge flow 0, per partition
          tail 0: rows
        stage 2  counts.map_partitions.rows = rows as a list flow 1, per partition
          counts.map_partitions = map_partitions |rows| best(rows)
            tail 0: top by |(_, n)| *n
        stage 3  counts.map_partitions.top_k = top flow 2, one task
          tail 0: output counts.map_partitions.top_k
        flow 0  combined by add from 0.0
        flow 1  rows, same partition from 1.0
        flow 2  top 3, gathered from 2.0
        ");
    }
}
