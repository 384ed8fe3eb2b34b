//! `join`

use super::lower::of_two;
use super::{Arg, Effect, Lower, Operator, join_table};

pub(super) static OPERATOR: Operator = Operator {
    name: "join",
    usage: "join(stream)",
    forms: &[&[Arg::Stream]],
    doc: "pairs of records with the same key",
    details: "It pairs the records of one batch: of `(key, a)` and `(key, b)` it makes `(key, (a, b))`. Several records \
              of a key on both sides give all their pairs. Join windows of both streams for records that come in \
              different batches. With a table (`table::csv`, `latest_by_key`) on the right every record meets all of it.",
    example: "pairs.join(others)",
    partitioning: Effect::Makes,
    lower: Lower::Head(of_two(|_| "join".to_owned())),
    by_table: Some(&join_table::JOIN),
    ..Operator::BASE
};

/// The operators that meet two streams by key have plans of one form.
#[cfg(test)]
mod tests {
    use crate::testing::{phase, physical};

    const STAGES: &str = "\
stage 0  lines = source 0, per range of lines
  lines.map = map |l| (l, 1)
    tail 0: combine
  lines.key_by = key_by f
    tail 1: spread
stage 1  counts = merge flow 0, per partition
  tail 0: spread in the same partition
stage 2  both = {words} flow 1 with flow 2, per partition
  tail 0: spread in the same partition
stage 3  both.running_reduce = running merge flow 3, per partition, keeps previous batch until checkpoint
  tail 0: output both.running_reduce
flow 0  combined by add from 0.0
flow 1  by key, same partition from 1.0
flow 2  by key from 0.1
flow 3  by key, same partition from 2.0
";

    /// A key that occurs once on the left does so afterwards.
    const SUBTRACTED: &str = "by key since both, each key once";

    #[test]
    fn what_lies_by_key_already_does_not_move_and_what_comes_out_lies_there() {
        for (operator, words, known) in [
            ("join", "join", "by key since both"),
            ("left_outer_join", "left outer join", "by key since both"),
            ("right_outer_join", "right outer join", "by key since both"),
            ("full_outer_join", "full outer join", "by key since both"),
            ("cogroup", "cogroup", "by key since both, each key once"),
            ("subtract_by_key", "subtract", SUBTRACTED),
        ] {
            let plan = physical(&format!(
                "let lines = source::text(\"x:\");
                 let counts = lines.map(|l| (l, 1)).reduce_by_key(add);
                 let both = counts.{operator}(lines.key_by(f));
                 both.running_reduce(first).print();"
            ));
            assert_eq!(phase(&plan, "stages").trim(), STAGES.replace("{words}", words).trim());
            let partitioning = phase(&plan, "partitioning");
            let both = partitioning.lines().find(|line| line.starts_with("both "));
            assert!(both.is_some_and(|line| line.ends_with(&format!("  {known}"))), "{both:?}");
        }
    }
}
