//! Windows of event time: what reduces the records of each, and how that reads in a plan.
//!
//! A window operator is a [`Reduction`] of windows or of sessions, where its stream has `event_time`. It is either written
//! in one call, `count_by_window("1min")`, or in two, `window("1min")` and `count()`: the first one moves nothing, and the
//! second one is given its arguments ([`OverEventTime`]).

use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};

use super::lower::whole;
use super::{
    Arg, Arguments, Before, Begin, Effect, Entry, EntryText, Keeps, Lower, Lowered, Operator,
    OverEventTime, Read, Times,
};
use crate::codegen::emit::{EntryCode, HeadCode, StepCode, time};
use crate::codegen::names::local;
use crate::codegen::spans;
use crate::ir::flow::{self, Form};
use crate::ir::logical::Function;
use crate::syntax::duration;

/// How the records of a window become one record, or one per key.
pub(super) trait Reduction: 'static {
    /// What leaves the stage before, for plans.
    const WORDS: &'static str;
    /// Whether all values are kept, as a list in the order of their times.
    const LISTS: bool = false;
    /// The function of two values, unless it keeps all.
    fn merge(arguments: &Arguments, at: Span) -> Function;
    /// The pair of key and value that a record becomes.
    fn pair(entry: &EntryCode<'_>) -> TokenStream;
    /// The pattern that takes the record out of a pair of key and result.
    fn record(record: &Ident) -> TokenStream {
        whole(record)
    }
}

/// What an operator is over windows, and over sessions, whose arguments stand behind its own.
pub(super) const fn over<R: Reduction>(
    name: &'static str,
    partitioning: Effect,
    before: Option<Before>,
) -> OverEventTime {
    let windows = Operator { before, ..windowed::<R>(name, &[], partitioning) };
    let sessions = Operator {
        lower: Lower::Head(Begin {
            words: |arguments| format!("sessions with gaps of {}", duration::show(gap(arguments))),
            lower: lower_sessions::<R>,
            emit: emit_sessions::<R>,
            record: with_window::<R>,
        }),
        before,
        ..windowed::<R>(name, &[], partitioning)
    };
    OverEventTime { windows, sessions }
}

/// An operator that reduces windows of the length, and the slide, that are its last arguments.
pub(super) const fn windowed<R: Reduction>(
    name: &'static str,
    forms: &'static [&'static [Arg]],
    partitioning: Effect,
) -> Operator {
    Operator {
        name,
        forms,
        partitioning,
        times: Times::Windows,
        lower: Lower::Head(Begin {
            words: |arguments| {
                let (length, slide) = length_and_slide(arguments);
                let (length, slide) = (duration::show(length), duration::show(slide));
                format!("event windows of {length} every {slide}")
            },
            lower: lower_windows::<R>,
            emit: emit_windows::<R>,
            record: with_window::<R>,
        }),
        ..Operator::BASE
    }
}

/// Says which windows the next operator reduces; a step that does nothing.
pub(super) const fn assigning(name: &'static str, forms: &'static [&'static [Arg]]) -> Operator {
    Operator {
        name,
        forms,
        partitioning: Effect::Keeps,
        uniqueness: Effect::Keeps,
        times: Times::Assigns,
        lower: Lower::Step { selects: false, emit: pass_on },
        ..Operator::BASE
    }
}

fn pass_on(step: &StepCode<'_>, then: &TokenStream) -> TokenStream {
    let (given, made) = (&step.given, &step.made);
    quote! {
        let #made = #given;
        #then
    }
}

/// Length and slide; without a slide, windows follow each other.
fn length_and_slide(arguments: &Arguments) -> (u64, u64) {
    match arguments.times()[..] {
        [length, slide] => (length, slide),
        [length] => (length, length),
        _ => unreachable!("invariant: every form has a length"),
    }
}

fn gap(arguments: &Arguments) -> u64 {
    arguments.time().expect("invariant: a session has a gap")
}

/// The runtime's windows.
fn constant((length, slide): (u64, u64)) -> TokenStream {
    let (length, slide) = (length as i64, slide as i64);
    quote!(const { __dstream::Windows::new(#length, #slide) })
}

/// The record is what the head makes beside its window.
fn with_window<R: Reduction>(record: &Ident) -> TokenStream {
    let (time, record) = (time(), R::record(record));
    quote!((#time, #record))
}

fn clock() -> Read {
    Read::of(Form::plain(&flow::CLOCK)).from(1)
}

fn lower_windows<R: Reduction>(arguments: &Arguments, at: Span) -> Lowered {
    let (length, slide) = length_and_slide(arguments);
    let emit = if R::LISTS { list_in_pane } else { value_in_pane::<R> };
    let entry = Entry { words: R::WORDS, function: None, spans: vec![length, slide], emit };
    let form = match R::LISTS {
        true => Form::plain(&flow::PANE_LISTS),
        false => Form::function(&flow::PANES, &R::merge(arguments, at)),
    };
    let form = Form { entry: Some(entry), ..form };
    Lowered::reads([Read::of(form), clock()]).keeping(Keeps::EventPanes(length, slide))
}

/// The pane that a record is in.
fn pane(entry: &EntryCode<'_>) -> TokenStream {
    let time = time();
    let windows = match entry.spans {
        [length, slide] => constant((*length, *slide)),
        _ => unreachable!("invariant: the entry was made with length and slide"),
    };
    quote!(#windows.pane_of(__dstream::time_of(#time)))
}

fn value_in_pane<R: Reduction>(entry: &EntryCode<'_>) -> EntryText {
    let (pane, pair) = (pane(entry), R::pair(entry));
    EntryText { before: TokenStream::new(), values: quote!(#pane, #pair) }
}

fn list_in_pane(entry: &EntryCode<'_>) -> EntryText {
    let (pane, (before, pair)) = (pane(entry), listed(entry));
    EntryText { before, values: quote!(#pane, #pair) }
}

/// The key of a pair, and its value with its time as a list of one.
fn listed(entry: &EntryCode<'_>) -> (TokenStream, TokenStream) {
    let (key, value, time) = (local("key"), local("value"), time());
    let pair = spans::view(entry.at.into(), "pair", &entry.record);
    let before = quote! {
        let (#key, #value) = #pair;
        let #value = __dstream::timed_list(__dstream::time_of(#time), #value);
    };
    (before, spans::within(entry.at, quote!(#key, #value)))
}

fn emit_windows<R: Reduction>(head: &HeadCode<'_>) -> TokenStream {
    let path = head.path(if R::LISTS { "event_groups" } else { "event_window" });
    let (panes, clock) = (head.flow(0), head.flow(1));
    let windows = constant(length_and_slide(head.arguments()));
    quote!(#path(&#panes, &#clock, #windows))
}

fn lower_sessions<R: Reduction>(arguments: &Arguments, _: Span) -> Lowered {
    let emit = if R::LISTS { list_at_time } else { value_at_time::<R> };
    let entry = Entry { words: R::WORDS, function: None, spans: Vec::new(), emit };
    let form = Form { entry: Some(entry), ..Form::plain(&flow::KEYED) };
    Lowered::reads([Read::of(form), clock()]).keeping(Keeps::Sessions(gap(arguments)))
}

/// A key, and its value with its time.
fn value_at_time<R: Reduction>(entry: &EntryCode<'_>) -> EntryText {
    let (key, value, of, time) = (local("key"), local("value"), local("item"), time());
    let pair = R::pair(entry);
    let view = spans::view(entry.at.into(), "pair", &of);
    let before = quote! {
        let #of = #pair;
        let (#key, #value) = #view;
        let #value = (__dstream::time_of(#time), #value);
    };
    EntryText { before, values: spans::within(entry.at, quote!(#key, #value)) }
}

fn list_at_time(entry: &EntryCode<'_>) -> EntryText {
    let (value, time) = (local("value"), time());
    let (before, values) = listed(entry);
    let before = quote! {
        #before
        let #value = (__dstream::time_of(#time), #value);
    };
    EntryText { before, values }
}

fn emit_sessions<R: Reduction>(head: &HeadCode<'_>) -> TokenStream {
    let (records, clock) = (head.flow(0), head.flow(1));
    let gap = gap(head.arguments()) as i64;
    if R::LISTS {
        let path = head.path("session_groups");
        return quote!(#path(&#records, &#clock, #gap));
    }
    let (path, at) = (head.path("session_reduce"), head.at());
    let merge = head.merge(&R::merge(head.arguments(), at));
    // At the operator: a record that can be no key is wrong there.
    let records = spans::within(at, quote!(#records));
    let records = quote_spanned!(at=> &#records);
    quote!(#path(#records, &#clock, #gap, #merge))
}
