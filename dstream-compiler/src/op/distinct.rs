//! `distinct`

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};

use super::{Begin, Effect, Entry, EntryText, Lower, Lowered, Operator, Read, reduction};
use crate::codegen::emit;
use crate::ir::flow::{self, Form};
use crate::ir::logical::Function;

pub(super) static OPERATOR: Operator = Operator {
    name: "distinct",
    usage: "distinct()",
    forms: &[&[]],
    doc: "each record of a batch once",
    details: "Of a window, `window(\"30s\").distinct()`, each record of the window once. Records are compared whole, \
              so they must be of a type that can be a key: floats and lists cannot.",
    example: "words.distinct()",
    // Equal records have equal keys.
    partitioning: Effect::Keeps,
    uniqueness: Effect::Keeps,
    lower: Lower::Head(Begin {
        words: |_| "distinct".to_owned(),
        lower: |_, at| Lowered::reads([read(at)]),
        emit: |head| head.merging("merge", &first(head.at())),
        record: |record| quote!((#record, _)),
    }),
    over_event_time: Some(&reduction::DISTINCT),
    ..Operator::BASE
};

/// The record is the key. Records that lie in the partition of another key of theirs stay there.
pub(super) fn read(at: Span) -> Read {
    let entry = Entry {
        words: "(record, true)",
        function: None,
        spans: Vec::new(),
        emit: |entry| {
            let at = entry.at;
            let values = entry.pair(&quote_spanned!(at=> true));
            EntryText { before: TokenStream::new(), values }
        },
    };
    let form = Form { entry: Some(entry), ..Form::function(&flow::COMBINED, &first(at)) };
    Read { partitioned: Some(&flow::KEYED_OWN), ..Read::of(form) }
}

pub(super) fn first(at: Span) -> Function {
    emit::merge_of(at, |acc, _| quote!(#acc))
}

#[cfg(test)]
mod tests {
    use crate::testing::{phase, physical};

    #[test]
    fn records_move_once_and_not_at_all_if_their_keys_lie_in_their_partitions() {
        let plan = physical(
            "let lines = source::text(\"x:\");
             lines.distinct().print();
             let reduced = lines.key_by(f).reduce_by_key(add);
             let both = lines.map(|l| (l, 1)).reduce_by_key(add).union(reduced).distinct();
             both.print();",
        );
        insta::assert_snapshot!(phase(&plan, "stages"), @r"
        stage 0  lines = source 0, per range of lines
          tail 0: combine (record, true)
          lines.key_by = key_by f
            tail 1: combine
          lines.map = map |l| (l, 1)
            tail 2: combine
        stage 1  lines.distinct = distinct flow 0, per partition
          tail 0: output lines.distinct
        stage 2  reduced = merge flow 1, per partition
          tail 0: spread in the same partition (record, true)
        stage 3  lines.map.reduce_by_key = merge flow 2, per partition
          tail 0: spread in the same partition (record, true)
        stage 4  both = distinct flow 3, per partition
          tail 0: output both
        flow 0  combined by |acc, x| acc from 0.0
        flow 1  combined by add from 0.1
        flow 2  combined by add from 0.2
        flow 3  by key, same partition from 3.0, 2.0
        ");
    }
}
