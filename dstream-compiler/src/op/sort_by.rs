//! `sort_by`

use proc_macro2::TokenStream;
use quote::quote;

use super::lower::whole;
use super::{Arg, Arguments, Begin, Entry, EntryText, Lower, Lowered, Operator, Read};
use crate::codegen::emit::{EntryCode, HeadCode};
use crate::codegen::names::local;
use crate::codegen::spans::within;
use crate::ir::flow::{self, Form};

pub(super) static OPERATOR: Operator = Operator {
    name: "sort_by",
    usage: "sort_by(|record| …)",
    forms: &[&[Arg::Function { parameters: 1, example: "|record| …" }]],
    doc: "the records of a batch in the order of what the function returns, the least first",
    details: "Records for which it returns the same are in their own order, so the result does not depend on how they were \
              spread. All records of the batch come to one task, which has them in memory: a batch costs what one core \
              sorts. Where the first ones are enough, `top_k` moves no more than these.",
    example: "pairs.sort_by(|(_, n)| n)",
    lower: Lower::Head(Begin {
        words: |_| "sort".to_owned(),
        lower: |arguments, _| Lowered::reads([Read::of(form(arguments))]),
        emit,
        record: whole,
    }),
    ..Operator::BASE
};

fn form(arguments: &Arguments) -> Form {
    let key = arguments.function().clone();
    let entry = Entry { words: "by", function: Some(key), spans: Vec::new(), emit: emit_key };
    Form { entry: Some(entry), ..Form::plain(&flow::GATHERED) }
}

/// What it is sorted by leaves with the record.
fn emit_key(entry: &EntryCode<'_>) -> EntryText {
    let (record, score) = (&entry.record, local("score"));
    let (call, view) = (entry.call("call"), entry.view(&score));
    let values = within(entry.at, quote!(#view, #record));
    EntryText { before: quote!(let #score = #call;), values }
}

fn emit(head: &HeadCode<'_>) -> TokenStream {
    let (path, slots) = (head.path("sort_by"), head.slots());
    quote!(#path(#slots))
}

#[cfg(test)]
mod tests {
    use crate::testing::{phase, physical};

    #[test]
    fn all_records_come_to_one_task_where_their_order_stays() {
        let plan = physical(
            "let lines = source::text(\"x:\");
             lines.sort_by(|l| l.len()).zip_with_index().filter(|(_, i)| *i < 3).print();",
        );
        insta::assert_snapshot!(phase(&plan, "stages"), @r"
        stage 0  lines = source 0, per range of lines
          tail 0: gather by |l| l.len()
        stage 1  lines.sort_by = sort flow 0, one task
          tail 0: gather
        stage 2  lines.sort_by.zip_with_index = number flow 1, one task
          lines.sort_by.zip_with_index.filter = filter |(_, i)| *i < 3
            tail 0: output lines.sort_by.zip_with_index.filter
        flow 0  records, gathered from 0.0
        flow 1  records, gathered from 1.0
        ");
    }
}
