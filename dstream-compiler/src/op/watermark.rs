//! The watermark of event-timed streams: how far their times have come. The compiler puts it beside windows.

use proc_macro2::TokenStream;
use quote::quote;

use super::lower::whole;
use super::{Begin, Entry, EntryText, Keeps, Lower, Lowered, Operator, Read};
use crate::codegen::emit::{HeadCode, time};
use crate::codegen::flow::BUILDER;
use crate::codegen::names::local;
use crate::ir::flow::{self, Form};

/// Its arguments are the slacks of its parents, in order.
pub(crate) static OPERATOR: Operator = Operator {
    name: "watermark",
    usage: "watermark",
    forms: &[],
    doc: "how far the times of a stream have come",
    lower: Lower::Head(Begin {
        words: |_| "watermark".to_owned(),
        lower: |arguments, _| {
            let inputs = arguments.times().len();
            Lowered::reads((0..inputs).map(|input| times().from(input))).keeping(Keeps::Watermark)
        },
        emit,
        record: whole,
    }),
    ..Operator::BASE
};

/// The times of records.
fn times() -> Read {
    let entry = Entry {
        words: "of its time",
        function: None,
        spans: Vec::new(),
        emit: |_| {
            let time = time();
            EntryText { before: TokenStream::new(), values: quote!(#time) }
        },
    };
    Read::of(Form { entry: Some(entry), ..Form::plain(&flow::TIMES) })
}

fn emit(head: &HeadCode<'_>) -> TokenStream {
    let (builder, id) = (local(BUILDER), head.index());
    let inputs = head.arguments().times().into_iter().enumerate().map(|(input, slack)| {
        let (flow, slack) = (head.flow(input), slack as i64);
        quote!((&#flow, #slack))
    });
    quote!(#builder.watermark(__dstream::StageId(#id), [#(#inputs),*]))
}
