//! `count_by_value`

use proc_macro2::{Span, TokenStream};
use quote::quote_spanned;

use super::lower::whole;
use super::{
    Begin, Effect, Entry, EntryText, Lower, Lowered, Operator, Read, count_by_value_and_window,
    reduction,
};
use crate::codegen::emit;
use crate::ir::flow::{self, Form};

pub(super) static OPERATOR: Operator = Operator {
    name: "count_by_value",
    usage: "count_by_value()",
    forms: &[&[]],
    doc: "how often each record is in a batch",
    details: "It makes pairs `(record, count)`, the count a `u64`, and none for a record that is not there. Of a \
              window, `window(\"30s\").count_by_value()`, it counts the window. The record becomes the key, so it must \
              be of a type that can be one: floats and lists cannot.",
    example: "words.count_by_value()",
    partitioning: Effect::Rekeys,
    uniqueness: Effect::Rekeys,
    over_window: Some(&count_by_value_and_window::OPERATOR),
    lower: Lower::Head(Begin {
        words: |_| "count by value".to_owned(),
        lower: |_, at| Lowered::reads([read(at)]),
        emit: |head| head.of("merge"),
        record: whole,
    }),
    over_event_time: Some(&reduction::COUNT_BY_VALUE),
    ..Operator::BASE
};

/// The record is the key, which it was not before: so it moves, wherever it lies.
fn read(at: Span) -> Read {
    let add = emit::merge_of(at, |acc, x| quote_spanned!(at=> #acc + #x));
    let entry = Entry {
        words: "(record, 1)",
        function: None,
        spans: Vec::new(),
        emit: |entry| {
            let at = entry.at;
            let values = entry.pair(&quote_spanned!(at=> 1u64));
            EntryText { before: TokenStream::new(), values }
        },
    };
    Read::of(Form { entry: Some(entry), ..Form::function(&flow::COMBINED, &add) })
}

#[cfg(test)]
mod tests {
    use crate::testing::{phase, physical};

    #[test]
    fn the_record_is_the_key_whatever_it_was_before() {
        let plan = physical(
            "let lines = source::text(\"x:\");
             let counts = lines.map(|l| (l, 1)).reduce_by_key(add).count_by_value();
             counts.running_reduce(add).print();",
        );
        insta::assert_snapshot!(phase(&plan, "partitioning"), @r"
        lines                    source::text
        lines.map                map ← lines
        lines.map.reduce_by_key  reduce_by_key ← lines.map                 by key since lines.map.reduce_by_key, each key once
        counts                   count_by_value ← lines.map.reduce_by_key  by key since counts, each key once
        counts.running_reduce    running_reduce ← counts                   by key since counts, each key once
        → counts.running_reduce  print ← counts.running_reduce             by key since counts, each key once
        ");
        insta::assert_snapshot!(phase(&plan, "stages"), @r"
        stage 0  lines = source 0, per range of lines
          lines.map = map |l| (l, 1)
            tail 0: combine
        stage 1  lines.map.reduce_by_key = merge flow 0, per partition
          tail 0: combine (record, 1)
        stage 2  counts = count by value flow 1, per partition
          tail 0: spread in the same partition
        stage 3  counts.running_reduce = running merge flow 2, per partition, keeps previous batch until checkpoint
          tail 0: output counts.running_reduce
        flow 0  combined by add from 0.0
        flow 1  combined by |acc, x| acc + x from 1.0
        flow 2  by key, same partition from 2.0
        ");
    }
}
