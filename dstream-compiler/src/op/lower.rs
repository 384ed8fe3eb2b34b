//! What an operator becomes in the physical plan: data that the passes carry out, and functions that write its
//! code.

use std::fmt;

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote;
use syn::Expr;

use super::{Arguments, Operator};
use crate::codegen::emit::{EntryCode, HeadCode, StepCode, time};
use crate::codegen::names::local;
use crate::codegen::spans::within;
use crate::ir::flow::{self, Kind};
use crate::ir::logical::Function;

/// What an operator becomes.
#[derive(Debug)]
pub enum Lower {
    /// The beginning of a stage that reads a source.
    Source(Begin),
    /// A step in its parent's stage, for each record.
    Step {
        /// Whether it only leaves out records, and changes none.
        selects: bool,
        /// Its code, around that of what is done with the records that it makes.
        emit: EmitStep,
    },
    /// Two streams as one: their records flow straight to where they are moved; only for consumers that take
    /// them one by one it begins a stage.
    Union(Begin),
    /// The beginning of a stage.
    Head(Begin),
    /// An output of its parent's stage.
    Output(fn(&Arguments) -> Sink),
}

/// The code of a step, around that of what is done with the records that it makes.
pub type EmitStep = fn(&StepCode<'_>, &TokenStream) -> TokenStream;

/// How an operator begins a stage.
pub struct Begin {
    /// What it does, for plans.
    pub words: fn(&Arguments) -> String,
    /// What it reads and keeps. Functions that it passes itself stand where its name does in the program.
    pub lower: fn(&Arguments, Span) -> Lowered,
    /// An expression of the runtime's head.
    pub emit: fn(&HeadCode<'_>) -> TokenStream,
    /// The pattern that takes the operator's record out of what the head makes; the argument is the record's name.
    pub record: fn(&Ident) -> TokenStream,
}

impl fmt::Debug for Begin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Begin").finish_non_exhaustive()
    }
}

/// How an operator begins a stage that meets the records of two streams by key. The runtime's head has its name.
pub(super) const fn of_two(words: fn(&Arguments) -> String) -> Begin {
    Begin {
        words,
        lower: |_, _| Lowered::reads([Read::keyed(), Read::keyed().from(1)]),
        emit: |head| head.of_two(),
        record: whole,
    }
}

/// The record is what the head makes.
pub(super) fn whole(record: &Ident) -> TokenStream {
    quote!(#record)
}

/// The record is what the head makes beside its time or window.
pub(super) fn with_time(record: &Ident) -> TokenStream {
    let time = time();
    quote!((#time, #record))
}

/// Records by key, each value with the time or window of its record.
pub(super) fn timed() -> Read {
    keyed_with("with its time", |entry| {
        let time = time();
        beside(entry, &quote!(#time))
    })
}

/// Records by key, each value with the time at which its record happened.
pub(super) fn happened() -> Read {
    keyed_with("with when it happened", |entry| {
        let time = time();
        beside(entry, &quote!(__dstream::time_of(#time)))
    })
}

/// What leaves is the key, and the time beside the value.
fn beside(entry: &EntryCode<'_>, time: &TokenStream) -> EntryText {
    let (key, value, record) = (local("key"), local("x"), &entry.record);
    let record = within(entry.at, quote!(#record));
    let pair = within(entry.at, quote!(#key, #value));
    let values = within(entry.at, quote!(#key, (#time, #value)));
    EntryText { before: quote!(let #pair = #record;), values }
}

fn keyed_with(words: &'static str, emit: fn(&EntryCode<'_>) -> EntryText) -> Read {
    let entry = Entry { words, function: None, spans: Vec::new(), emit };
    let form = flow::Form { entry: Some(entry), ..flow::Form::plain(&flow::KEYED) };
    Read { partitioned: Some(&flow::KEYED_OWN), ..Read::of(form) }
}

/// What the beginning of a stage reads and keeps.
#[derive(Debug)]
pub struct Lowered {
    /// What it reads, in order.
    pub reads: Vec<Read>,
    /// What it keeps from batch to batch.
    pub keeps: Keeps,
}

impl Lowered {
    /// Reads these, and keeps nothing.
    pub(super) fn reads(reads: impl IntoIterator<Item = Read>) -> Self {
        Self { reads: reads.into_iter().collect(), keeps: Keeps::Nothing }
    }

    /// Keeps something, too.
    pub(super) fn keeping(self, keeps: Keeps) -> Self {
        Self { keeps, ..self }
    }
}

/// What is read of one parent.
#[derive(Debug)]
pub struct Read {
    /// Which parent; of a union, its own stream.
    pub parent: usize,
    /// In what form.
    pub form: flow::Form,
    /// The form where all records of a key are in the partition of that key already.
    pub partitioned: Option<&'static Kind>,
}

impl Read {
    /// Records as they are, of the same partition.
    pub(super) fn rows() -> Self {
        Self::of(flow::Form::plain(&flow::ROWS))
    }

    /// Records by key.
    pub(super) fn keyed() -> Self {
        Self { partitioned: Some(&flow::KEYED_OWN), ..Self::of(flow::Form::plain(&flow::KEYED)) }
    }

    /// Records by key, combined with a function before they are moved, if they are.
    pub(super) fn combined(merge: &Function) -> Self {
        let form = flow::Form::function(&flow::COMBINED, merge);
        Self { partitioned: Some(&flow::KEYED_OWN), ..Self::of(form) }
    }

    /// What tails make for one task that gathers it.
    pub(super) fn of(form: flow::Form) -> Self {
        Self { parent: 0, form, partitioned: None }
    }

    /// Of another parent than the first.
    pub(super) fn from(self, parent: usize) -> Self {
        Self { parent, ..self }
    }
}

/// What is done with a record before it leaves a stage. Two of the same words and function do the same.
#[derive(Debug, Clone)]
pub struct Entry {
    /// What, for plans.
    pub words: &'static str,
    /// The user's function that it calls.
    pub function: Option<Function>,
    /// The lengths of time that it needs, in milliseconds.
    pub spans: Vec<u64>,
    /// Its code.
    pub emit: fn(&EntryCode<'_>) -> EntryText,
}

/// The code of an entry.
#[derive(Debug)]
pub struct EntryText {
    /// Statements before the record leaves.
    pub before: TokenStream,
    /// What leaves.
    pub values: TokenStream,
}

/// What a stage keeps from batch to batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeps {
    /// Nothing.
    Nothing,
    /// The value of every key; a checkpoint ends its lineage.
    Values,
    /// The same of keys that were touched within a time, in milliseconds. To forget a key emits nothing.
    Expiring(u64),
    /// The state of every key, for which something may be emitted without input: that many milliseconds after the last
    /// record of the key at most, or at any time.
    Waking(Option<u64>),
    /// The panes of a window, whose length is in batches; they are kept as they are, so its end ends their lineage.
    Panes(u64),
    /// The same of a window whose length the program says in batches, not in time.
    Counted(u64),
    /// The panes of a window, whose length is in batches, and what was computed from them; a checkpoint ends its lineage.
    Derived(u64),
    /// The panes of open event-time windows: their length and slide, in milliseconds.
    EventPanes(u64, u64),
    /// Open sessions, which end that many milliseconds after their last record.
    Sessions(u64),
    /// The records of two streams that others may still meet by event time: how far apart, in milliseconds.
    EventSides(u64),
    /// The greatest times of splits.
    Watermark,
}

/// Where an output writes.
#[derive(Debug, Clone)]
pub enum Sink {
    /// To a URL.
    Url(Box<Expr>),
    /// To the terminal: this many records of each batch.
    Print(u32),
    /// To a function of the program.
    Function(Box<Function>),
}

/// What stands between an operator and its only parent: it may change its arguments, and is told whether each
/// key occurs once per batch in the parent.
pub type Before = fn(&mut Arguments, bool) -> Option<Between>;

/// An operator that the compiler puts in.
#[derive(Debug)]
pub struct Between {
    /// Its stream is called `STREAM.suffix`.
    pub suffix: &'static str,
    /// Which.
    pub operator: &'static Operator,
    /// Its arguments.
    pub arguments: Arguments,
}
