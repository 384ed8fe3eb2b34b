//! Windows of event time: what the window operators are on streams with `event_time`.

use proc_macro2::TokenStream;
use quote::quote;

use super::lower::with_time;
use super::{
    Arg, Arguments, Begin, Effect, Entry, EntryText, Keeps, Lower, Lowered, Operator, Read, Times,
};
use crate::codegen::emit::{EntryCode, HeadCode, time};
use crate::ir::flow::{self, Form};
use crate::syntax::duration;

const MERGE: Arg = Arg::Function { parameters: 2, example: "|a, b| …" };
const INVERSE: Arg = Arg::Function { parameters: 2, example: "|all, left| …" };
const LENGTH: Arg = Arg::Time("window");
const SLIDE: Arg = Arg::Time("slide");

/// `reduce_by_key_and_window` by event time. An inverse is not needed: each record is merged once into its pane.
pub(super) static REDUCE_BY_KEY_AND_WINDOW: Operator = Operator {
    name: "reduce_by_key_and_window",
    usage: "reduce_by_key_and_window(|a, b| …, \"1min\", \"10s\")",
    forms: &[
        &[MERGE, LENGTH],
        &[MERGE, LENGTH, SLIDE],
        &[MERGE, INVERSE, LENGTH],
        &[MERGE, INVERSE, LENGTH, SLIDE],
    ],
    doc: "one record per key and window of event time",
    partitioning: Effect::Makes,
    times: Times::Windows,
    lower: Lower::Head(Begin {
        words: |arguments| {
            let (length, slide) = windows(arguments);
            format!("event windows of {} every {}", duration::show(length), duration::show(slide))
        },
        lower: |arguments, _| {
            let (length, slide) = windows(arguments);
            let entry =
                Entry { words: "by pane", function: None, spans: vec![length, slide], emit: pane };
            let form =
                Form { entry: Some(entry), ..Form::function(&flow::PANES, arguments.function()) };
            let clock = Read::of(Form::plain(&flow::CLOCK)).from(1);
            Lowered::reads([Read::of(form), clock]).keeping(Keeps::EventPanes(length, slide))
        },
        emit,
        record: with_time,
    }),
    ..Operator::BASE
};

/// Length and slide; without a slide, windows follow each other.
fn windows(arguments: &Arguments) -> (u64, u64) {
    match arguments.times()[..] {
        [length, slide] => (length, slide),
        [length] => (length, length),
        _ => unreachable!("invariant: every form has a length"),
    }
}

/// The runtime's windows.
fn constant((length, slide): (u64, u64)) -> TokenStream {
    let (length, slide) = (length as i64, slide as i64);
    quote!(const { __dstream::Windows::new(#length, #slide) })
}

/// A record leaves with the pane that it is in.
fn pane(entry: &EntryCode<'_>) -> EntryText {
    let (time, record) = (time(), &entry.record);
    let windows = match entry.spans {
        [length, slide] => constant((*length, *slide)),
        _ => unreachable!("invariant: the entry was made with length and slide"),
    };
    let values = quote!(#windows.pane_of(__dstream::time_of(#time)), #record);
    EntryText { before: TokenStream::new(), values }
}

fn emit(head: &HeadCode<'_>) -> TokenStream {
    let path = head.path("event_window");
    let (panes, clock) = (head.flow(0), head.flow(1));
    let windows = constant(windows(head.arguments()));
    quote!(#path(&#panes, &#clock, #windows))
}
