//! `group_by_key_and_window`

use proc_macro2::TokenStream;
use quote::quote;

use super::lower::whole;
use super::{Arg, Begin, Effect, Keeps, Lower, Lowered, Operator, Read, reduction};
use crate::codegen::emit::HeadCode;

pub(super) static OPERATOR: Operator = Operator {
    name: "group_by_key_and_window",
    usage: "group_by_key_and_window(\"30s\", \"1s\")",
    forms: &[&[Arg::Length], &[Arg::Length, Arg::Slide]],
    doc: "per key its values over the window, as a list",
    details: "Length and slide are those of `window`. The values are in the order of their batches, and in the order of the \
              batch within one. A record moves once, however many windows it is in. Where the values are merged in the end, \
              `reduce_by_key_and_window` keeps one per key and batch. \
              On a stream with `event_time` windows are of event time, and values in the order of their times.",
    example: "pairs.group_by_key_and_window(\"30s\", \"10s\")",
    partitioning: Effect::Makes,
    uniqueness: Effect::Makes,
    lower: Lower::Head(Begin {
        words: |arguments| format!("group over a window of {}", arguments.length().unwrap_or(1)),
        lower: |arguments, _| {
            let length = arguments.length().unwrap_or(1);
            Lowered::reads([Read::keyed()]).keeping(Keeps::Panes(length))
        },
        emit,
        record: whole,
    }),
    by_event_time: Some(&reduction::GROUP_BY_KEY_AND_WINDOW),
    ..Operator::BASE
};

fn emit(head: &HeadCode<'_>) -> TokenStream {
    let (path, flow, span) = (head.path("window_group"), head.flow(0), head.span());
    quote!(#path(&#flow, #span))
}

#[cfg(test)]
mod tests {
    use crate::testing::{phase, physical};

    #[test]
    fn a_record_moves_once() {
        let plan = physical(
            "let ones = source::text(\"x:\").map(|l| (l, 1));
             ones.group_by_key_and_window(\"4s\", \"2s\").map_values(|l| l.len()).print();",
        );
        insta::assert_snapshot!(phase(&plan, "stages"), @r"
        stage 0  ones.source = source 0, per range of ones.source
          ones = map |l| (l, 1)
            tail 0: spread
        stage 1  ones.group_by_key_and_window = group over a window of 4 flow 0, per partition, keeps 4 panes until end of the window, every 1 emits every 2
          ones.group_by_key_and_window.map_values = map_values |l| l.len()
            tail 0: output ones.group_by_key_and_window.map_values
        flow 0  by key from 0.0
        ");
    }
}
