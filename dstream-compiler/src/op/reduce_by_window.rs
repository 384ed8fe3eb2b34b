//! `reduce_by_window`

use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};

use super::reduce_by_key_and_window::{INVERSE, MERGE, emit, keeps, without_inverse};
use super::{
    Arg, Argument, Arguments, Begin, Between, Entry, EntryText, Lower, Lowered, Operator, Read,
    reduce, reduction,
};
use crate::codegen::emit::EntryCode;
use crate::ir::flow::{self, Form};

pub(super) static OPERATOR: Operator = Operator {
    name: "reduce_by_window",
    usage: "reduce_by_window(|a, b| …, \"30s\", \"1s\")",
    forms: &[
        &[MERGE, Arg::Length],
        &[MERGE, Arg::Length, Arg::Slide],
        &[MERGE, INVERSE, Arg::Length],
        &[MERGE, INVERSE, Arg::Length, Arg::Slide],
    ],
    doc: "one record per window; none for an empty one",
    details: "Length and slide are those of `window`. The function must be associative and commutative. A batch is reduced \
              when it comes, and the window keeps one value of it, not its records; with an inverse, `|all, left| all - left`, \
              or without, a slide costs the same however long the window is. Floats are added up anew, oldest batch first. \
              On a stream with `event_time` windows are of event time: one without records has no result.",
    example: "numbers.reduce_by_window(|a, b| a + b, \"30s\", \"1s\")",
    lower: Lower::Head(Begin {
        words: |arguments| format!("window reduce of {}", arguments.length().unwrap_or(1)),
        lower: |arguments, _| Lowered::reads([of_one()]).keeping(keeps(arguments)),
        emit,
        record: under_one,
    }),
    before: Some(panes),
    by_event_time: Some(&reduction::REDUCE_BY_WINDOW),
    ..Operator::BASE
};

fn panes(arguments: &mut Arguments, _: bool) -> Option<Between> {
    without_inverse(arguments);
    let merge = Argument::Function(arguments.function().clone());
    Some(Between { suffix: "panes", operator: &reduce::OPERATOR, arguments: vec![merge].into() })
}

/// The value of a batch, under a key that all share, in the task that made it: so a window of values is one of
/// values by key.
pub(super) fn of_one() -> Read {
    let entry =
        Entry { words: "(true, record)", function: None, spans: Vec::new(), emit: emit_entry };
    Read::of(Form { entry: Some(entry), ..Form::plain(&flow::KEYED_OWN) })
}

fn emit_entry(entry: &EntryCode<'_>) -> EntryText {
    let at: Span = entry.at;
    EntryText { before: TokenStream::new(), values: entry.under(&quote_spanned!(at=> true)) }
}

/// The record without the shared key.
pub(super) fn under_one(record: &Ident) -> TokenStream {
    quote!((_, #record))
}

#[cfg(test)]
mod tests {
    use crate::testing::{phase, physical};

    #[test]
    fn a_window_keeps_a_value_per_batch() {
        let plan = physical(
            "let lines = source::text(\"x:\");
             lines.map(|l| l.len()).reduce_by_window(add, \"4s\", \"2s\").print();
             lines.map(|l| l.len()).reduce_by_window(add, sub, \"4s\").print();
             lines.map(|l| l.len()).reduce_by_window(add, sub, \"2s\", \"4s\").print();",
        );
        insta::assert_snapshot!(phase(&plan, "common sub-plans"), @r#"
        lines                                  source::text                                         "x:"
        lines.map = lines.map_2 = lines.map_3  map ← lines                                          |l| l.len()
        lines.map.reduce_by_window.panes       reduce ← lines.map                                   add
        lines.map.reduce_by_window             reduce_by_window ← lines.map.reduce_by_window.panes  add, 4 every 2
        → lines.map.reduce_by_window           print ← lines.map.reduce_by_window
        lines.map_2.reduce_by_window           reduce_by_window ← lines.map.reduce_by_window.panes  add, sub, 4 every 1
        → lines.map_2.reduce_by_window         print ← lines.map_2.reduce_by_window
        lines.map_3.reduce_by_window           reduce_by_window ← lines.map.reduce_by_window.panes  add, 2 every 4
        → lines.map_3.reduce_by_window         print ← lines.map_3.reduce_by_window
        "#);
        insta::assert_snapshot!(phase(&plan, "stages"), @r"
        stage 0  lines = source 0, per range of lines
          lines.map = map |l| l.len()
            tail 0: fold
        stage 1  lines.map.reduce_by_window.panes = reduce flow 0, one task
          tail 0: spread in the same partition (true, record)
        stage 2  lines.map.reduce_by_window = window reduce of 4 flow 1, one task, keeps 4 panes until end of the window, every 1 emits every 2
          tail 0: output lines.map.reduce_by_window
        stage 3  lines.map_2.reduce_by_window = window reduce of 4 flow 1, one task, keeps 4 panes until checkpoint
          tail 0: output lines.map_2.reduce_by_window
        stage 4  lines.map_3.reduce_by_window = window reduce of 2 flow 1, one task, keeps 2 panes until end of the window, every 1 emits every 4
          tail 0: output lines.map_3.reduce_by_window
        flow 0  folded by add, gathered from 0.0
        flow 1  by key, same partition from 1.0
        ");
    }
}
