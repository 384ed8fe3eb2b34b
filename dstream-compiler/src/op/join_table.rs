//! Joins with a table: what `join`, `left_outer_join` and `subtract_by_key` are where the other side is one.
//!
//! The stage of the join keeps the table. Of a table that is a stream's last values (`latest_by_key`) it reads that
//! stream, and an argument says so ([`KEEPS`]).

use proc_macro2::TokenStream;
use quote::quote;

use super::lower::{timed, whole, with_time};
use super::running_reduce::EXPIRE_AFTER;
use super::{Arg, Arguments, Begin, Effect, Keeps, Lower, Lowered, Operator, Read, Times};
use crate::codegen::emit::{HeadCode, optional};

/// The name of the argument that is there if the table keeps the last row of each key, and not all rows.
pub(crate) const KEEPS: &str = "keeps";

/// What an operator is where its other side is a table.
#[derive(Debug)]
pub struct WithTable {
    /// Over records that have no times.
    pub untimed: &'static Operator,
    /// Over records that have times or windows: what it makes has the same.
    pub timed: &'static Operator,
}

macro_rules! with_table {
    ($($name:ident, $operator:literal, $words:literal, $unique:expr;)*) => {
        $(pub(super) static $name: WithTable = WithTable {
            untimed: &Operator {
                name: $operator,
                uniqueness: $unique,
                lower: Lower::Head(Begin {
                    words: |_| $words.to_owned(),
                    lower: |arguments, _| lowered(arguments, Read::keyed()),
                    emit: |head| emit(head, concat!($operator, "_table")),
                    record: whole,
                }),
                ..BASE
            },
            timed: &Operator {
                name: $operator,
                uniqueness: $unique,
                times: Times::KeepsFirst,
                lower: Lower::Head(Begin {
                    words: |_| $words.to_owned(),
                    lower: |arguments, _| lowered(arguments, timed()),
                    emit: |head| emit(head, concat!($operator, "_table_timed")),
                    record: with_time,
                }),
                ..BASE
            },
        };)*
    };
}

with_table! {
    JOIN, "join", "table join", Effect::Loses;
    LEFT_OUTER_JOIN, "left_outer_join", "left outer table join", Effect::Loses;
    SUBTRACT_BY_KEY, "subtract_by_key", "table subtract", Effect::Keeps;
}

const BASE: Operator = Operator {
    usage: "join(table)",
    forms: &[&[Arg::Stream]],
    partitioning: Effect::Makes,
    ..Operator::BASE
};

fn lowered(arguments: &Arguments, left: Read) -> Lowered {
    let keeps = match arguments.named_time(EXPIRE_AFTER.name) {
        Some(ms) => Keeps::Expiring(ms),
        None => Keeps::Values,
    };
    Lowered::reads([left, Read::keyed().from(1)]).keeping(keeps)
}

fn emit(head: &HeadCode<'_>, function: &str) -> TokenStream {
    let kept = match head.arguments().named(KEEPS) {
        None => quote!(__dstream::Kept::Rows),
        Some(_) => {
            let after = optional(head.arguments().named_time(EXPIRE_AFTER.name));
            quote!(__dstream::Kept::Latest(#after))
        }
    };
    head.of_two_with(function, &kept)
}

#[cfg(test)]
mod tests {
    use crate::testing::{phase, physical};

    #[test]
    fn a_join_keeps_its_table_and_the_times_of_its_stream() {
        let plan = physical(
            "let pages = table::csv::<(u64, u64)>(\"p:\").filter(|page| true);
             let views = source::text(\"v:\").event_time(|v| 0i64, \"1s\").key_by(f);
             let last = source::text(\"u:\").key_by(f).latest_by_key(expire_after = \"90s\");
             views.join(pages).reduce_by_key_and_window(add, \"10s\").print();
             source::text(\"w:\").key_by(f).left_outer_join(last).print();",
        );
        insta::assert_snapshot!(phase(&plan, "stages"), @r"
        stage 0  pages.source = source 0, per range of pages.source
          pages = filter |page| true
            tail 0: spread
        stage 1  views.source = source 1, per range of views.source
          views.source.event_time = event_time |v| 0i64, 1s
            views = key_by f
              tail 0: spread with its time
            tail 1: greatest of its time
        stage 2  last.source = source 2, per range of last.source
          last.source.key_by = key_by f
            tail 0: spread
        stage 3  views.join = table join flow 0 with flow 1, per partition, keeps previous batch until checkpoint
          tail 0: combine by pane by pane
        stage 4  views.join.reduce_by_key_and_window.watermark = watermark flow 2, one task, keeps times until checkpoint
          tail 0: broadcast
        stage 5  views.join.reduce_by_key_and_window = event windows of 10s every 10s flow 3 with flow 4, per partition, keeps open windows of 10s every 10s until checkpoint
          tail 0: output views.join.reduce_by_key_and_window
        stage 6  source = source 3, per range of source
          source.key_by = key_by f
            tail 0: spread
        stage 7  source.key_by.left_outer_join = left outer table join flow 5 with flow 6, per partition, keeps previous batch for 90s until checkpoint
          tail 0: output source.key_by.left_outer_join
        flow 0  by key from 1.0
        flow 1  by key from 0.0
        flow 2  times, gathered from 1.1
        flow 3  combined by add and pane from 3.0
        flow 4  to every partition from 4.0
        flow 5  by key from 6.0
        flow 6  by key from 2.0
        ");
    }
}
