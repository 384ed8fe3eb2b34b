//! `union`

use proc_macro2::TokenStream;
use quote::quote;

use super::lower::{whole, with_time};
use super::{Arg, Begin, Effect, Entry, EntryText, Lower, Lowered, Operator, Read};
use crate::codegen::emit::time;
use crate::ir::flow::{self, Form};

pub(super) static OPERATOR: Operator = Operator {
    name: "union",
    usage: "union(stream)",
    forms: &[&[Arg::Stream]],
    doc: "the records of both streams",
    details: "Both have records of one type, and emit in the same batches.",
    example: "pairs.union(others)",
    partitioning: Effect::Keeps,
    lower: Lower::Union(Begin {
        words: |_| "rows".to_owned(),
        lower: |_, _| Lowered::reads([Read::rows()]),
        emit: |head| head.of("rows_of"),
        record: whole,
    }),
    ..Operator::BASE
};

/// The same for records that have times: these go along.
pub(crate) static TIMED: Begin = Begin {
    words: |_| "rows with times".to_owned(),
    lower: |_, _| {
        let entry = Entry {
            words: "with its time",
            function: None,
            spans: Vec::new(),
            emit: |entry| {
                let (time, record) = (time(), &entry.record);
                EntryText { before: TokenStream::new(), values: quote!((#time, #record)) }
            },
        };
        Lowered::reads([Read::of(Form { entry: Some(entry), ..Form::plain(&flow::ROWS) })])
    },
    emit: |head| head.of("rows_of"),
    record: with_time,
};
