//! `count_by_value_and_window`

use super::count_by_window::{emit_counts, keeps, panes};
use super::lower::whole;
use super::{Arg, Begin, Effect, Lower, Lowered, Operator, Read, count_by_value, reduction};

pub(super) static OPERATOR: Operator = Operator {
    name: "count_by_value_and_window",
    usage: "count_by_value_and_window(\"30s\", \"1s\")",
    forms: &[&[Arg::Length], &[Arg::Length, Arg::Slide]],
    doc: "how often each record is in a window",
    details: "It makes pairs `(record, count)`, the count a `u64`, and none for a record that has left the window. Length and \
              slide are those of `window`. The window keeps one number per record and batch, and a slide costs by what enters \
              and leaves. The record becomes the key, so it must be of a type that can be one: floats and lists cannot. \
              On a stream with `event_time` windows are of event time: one without records has no result.",
    example: "words.count_by_value_and_window(\"30s\", \"10s\")",
    partitioning: Effect::Rekeys,
    uniqueness: Effect::Rekeys,
    lower: Lower::Head(Begin {
        words: |arguments| {
            format!("count by value over a window of {}", arguments.length().unwrap_or(1))
        },
        lower: |arguments, _| Lowered::reads([Read::keyed()]).keeping(keeps(arguments)),
        emit: emit_counts,
        record: whole,
    }),
    before: Some(|_, _| panes(&count_by_value::OPERATOR)),
    by_event_time: Some(&reduction::COUNT_BY_VALUE_AND_WINDOW),
    ..Operator::BASE
};

#[cfg(test)]
mod tests {
    use crate::testing::{phase, physical};

    #[test]
    fn a_window_keeps_a_number_per_record_and_batch() {
        let plan = physical(
            "let lines = source::text(\"x:\");
             lines.count_by_value_and_window(\"4s\", \"2s\").running_reduce(max).print();",
        );
        insta::assert_snapshot!(phase(&plan, "partitioning"), @r"
        lines                                             source::text
        lines.count_by_value_and_window.panes             count_by_value ← lines                                             by key since lines.count_by_value_and_window.panes, each key once
        lines.count_by_value_and_window                   count_by_value_and_window ← lines.count_by_value_and_window.panes  by key since lines.count_by_value_and_window, each key once
        lines.count_by_value_and_window.running_reduce    running_reduce ← lines.count_by_value_and_window                   by key since lines.count_by_value_and_window, each key once
        → lines.count_by_value_and_window.running_reduce  print ← lines.count_by_value_and_window.running_reduce             by key since lines.count_by_value_and_window, each key once
        ");
        insta::assert_snapshot!(phase(&plan, "stages"), @r"
        stage 0  lines = source 0, per range of lines
          tail 0: combine (record, 1)
        stage 1  lines.count_by_value_and_window.panes = count by value flow 0, per partition
          tail 0: spread in the same partition
        stage 2  lines.count_by_value_and_window = count by value over a window of 4 flow 1, per partition, keeps 4 panes until checkpoint, every 1 emits every 2
          tail 0: spread in the same partition
        stage 3  lines.count_by_value_and_window.running_reduce = running merge flow 2, per partition, keeps previous batch until checkpoint, every 2 emits every 2
          tail 0: output lines.count_by_value_and_window.running_reduce
        flow 0  combined by |acc, x| acc + x from 0.0
        flow 1  by key, same partition from 1.0
        flow 2  by key, same partition from 2.0
        ");
    }
}
