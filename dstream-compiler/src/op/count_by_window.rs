//! `count_by_window`

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};

use super::reduce_by_window::{of_one, under_one};
use super::{Arg, Arguments, Begin, Between, Keeps, Lower, Lowered, Operator, count, reduction};
use crate::codegen::emit::{HeadCode, merge_of};
use crate::codegen::spans::within;

pub(super) static OPERATOR: Operator = Operator {
    name: "count_by_window",
    usage: "count_by_window(\"30s\", \"1s\")",
    forms: &[&[Arg::Length], &[Arg::Length, Arg::Slide]],
    doc: "the number of records per window; 0 for an empty one",
    details: "It is a `u64`. Length and slide are those of `window`; it emits from the first slide on, whether there have \
              been records or not. The window keeps one number per batch. A job with `count_by_window` runs every batch, \
              also those without input. \
              On a stream with `event_time` windows are of event time: one without records has no result.",
    example: "words.count_by_window(\"30s\", \"10s\")",
    silent: false,
    lower: Lower::Head(Begin {
        words: |arguments| format!("count over a window of {}", arguments.length().unwrap_or(1)),
        lower: |arguments, _| Lowered::reads([of_one()]).keeping(keeps(arguments)),
        emit: emit_counts,
        record: under_one,
    }),
    before: Some(|_, _| panes(&count::OPERATOR)),
    by_event_time: Some(&reduction::COUNT_BY_WINDOW),
    ..Operator::BASE
};

/// Counts per batch.
pub(super) fn panes(operator: &'static Operator) -> Option<Between> {
    Some(Between { suffix: "panes", operator, arguments: Arguments::default() })
}

/// Whether windows overlap, so that something that leaves one was in it.
fn overlaps(arguments: &Arguments) -> bool {
    arguments.slide() <= arguments.length()
}

pub(super) fn keeps(arguments: &Arguments) -> Keeps {
    let length = arguments.length().unwrap_or(1);
    if overlaps(arguments) { Keeps::Derived(length) } else { Keeps::Panes(length) }
}

/// The sum of the counts in a window.
pub(super) fn emit_counts(head: &HeadCode<'_>) -> TokenStream {
    let (flow, span, at) = (head.flow(0), head.span(), head.at());
    // At the operator: a record that can be no key is wrong there.
    let flow = within(at, quote!(#flow));
    let flow = quote_spanned!(at=> &#flow);
    let add = head.merge(&merge_of(at, |acc, x| quote_spanned!(at=> #acc + #x)));
    if !overlaps(head.arguments()) {
        let path = head.path("window_reduce");
        return quote!(#path(#flow, #span, #add));
    }
    let take = head.merge(&merge_of(at, |acc, x| quote_spanned!(at=> #acc - #x)));
    let path = head.path("window_reduce_inverse");
    quote!(#path(#flow, #span, #add, #take))
}

#[cfg(test)]
mod tests {
    use crate::testing::{phase, physical};

    #[test]
    fn a_window_keeps_a_number_per_batch() {
        let plan = physical(
            "let lines = source::text(\"x:\");
             lines.count_by_window(\"4s\").print();
             lines.count_by_window(\"2s\", \"4s\").print();",
        );
        insta::assert_snapshot!(phase(&plan, "stages"), @r"
        stage 0  lines = source 0, per range of lines
          tail 0: tally
        stage 1  lines.count_by_window.panes = count flow 0, one task
          tail 0: spread in the same partition (true, record)
        stage 2  lines.count_by_window = count over a window of 4 flow 1, one task, keeps 4 panes until checkpoint
          tail 0: output lines.count_by_window
        stage 3  lines.count_by_window_2 = count over a window of 2 flow 1, one task, keeps 2 panes until end of the window, every 1 emits every 4
          tail 0: output lines.count_by_window_2
        flow 0  counts, gathered from 0.0
        flow 1  by key, same partition from 1.0
        ");
    }
}
