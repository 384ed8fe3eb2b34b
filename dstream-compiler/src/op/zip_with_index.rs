//! `zip_with_index`

use proc_macro2::TokenStream;
use quote::quote;

use super::lower::whole;
use super::{Begin, Lower, Lowered, Operator, Read};
use crate::codegen::emit::HeadCode;
use crate::ir::flow::{self, Form};

pub(super) static OPERATOR: Operator = Operator {
    name: "zip_with_index",
    usage: "zip_with_index()",
    forms: &[&[]],
    doc: "each record with its number in the batch, from 0 on",
    details: "It makes pairs `(record, number)`, the number a `u64`. Records are numbered partition by partition, in their \
              order there: as they were read if they come from a source, as they were sorted after `sort_by`, where the \
              number is a rank. After an operator by key the order is the same when a batch is computed again, and another \
              one with another number of partitions. All records of the batch come to one task.",
    example: "words.sort_by(|w| w.len() as u64).zip_with_index()",
    lower: Lower::Head(Begin {
        words: |_| "number".to_owned(),
        lower: |_, _| Lowered::reads([Read::of(Form::plain(&flow::GATHERED))]),
        emit,
        record: whole,
    }),
    ..Operator::BASE
};

fn emit(head: &HeadCode<'_>) -> TokenStream {
    let (path, slots) = (head.path("zip_with_index"), head.slots());
    quote!(#path(#slots))
}

#[cfg(test)]
mod tests {
    use crate::testing::{phase, physical};

    #[test]
    fn one_task_numbers_all_records() {
        let plan = physical("source::text(\"x:\").zip_with_index().print();");
        insta::assert_snapshot!(phase(&plan, "stages"), @r"
        stage 0  source = source 0, per range of source
          tail 0: gather
        stage 1  source.zip_with_index = number flow 0, one task
          tail 0: output source.zip_with_index
        flow 0  records, gathered from 0.0
        ");
    }
}
