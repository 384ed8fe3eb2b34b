//! `join_within`, `left_outer_join_within` and `full_outer_join_within`: joins by event time.

use proc_macro2::TokenStream;
use quote::quote;

use super::lower::{happened, with_time};
use super::{Arg, Arguments, Begin, Effect, Keeps, Lower, Lowered, Operator, Read, Times};
use crate::codegen::emit::HeadCode;
use crate::ir::flow::{self, Form};
use crate::syntax::duration;

pub(super) static OPERATOR: Operator = Operator {
    name: "join_within",
    usage: "join_within(stream, \"-5m\", \"1m\")",
    doc: "pairs of records with the same key whose event times are close",
    details: "Both streams are pairs with `event_time`. Of `(key, a)` and `(key, b)` it makes `(key, (a, b))` if the time of the \
              other record, less that of this one, is between both durations, which are included: after `\"-5m\", \"1m\"` the other \
              record happened at most 5 minutes before, and at most 1 minute after. Each pair comes once, whichever record came \
              first, in whatever batches; its time is the greater of both. A record is kept until the watermark of both streams \
              says that no other can meet it. A record that is behind the watermark of the batch before is late: it is left out \
              and counted.",
    example: "pairs.event_time(|(_, n)| n, \"10s\").join_within(others.event_time(|(_, n)| n, \"10s\"), \"-5m\", \"1m\")",
    ..BASE
};

pub(super) static LEFT_OUTER: Operator = Operator {
    name: "left_outer_join_within",
    usage: "left_outer_join_within(stream, \"-5m\", \"1m\")",
    doc: "the same, and each record that meets none of the other stream, with `None`",
    details: "It makes `(key, (a, Some(b)))` as `join_within` makes pairs, and `(key, (a, None))` of a record of this stream once \
              the watermark says that it will meet none; that has the time of the record.",
    example: "pairs.event_time(|(_, n)| n, \"10s\").left_outer_join_within(others.event_time(|(_, n)| n, \"10s\"), \"0s\", \"1m\")",
    ..BASE
};

pub(super) static FULL_OUTER: Operator = Operator {
    name: "full_outer_join_within",
    usage: "full_outer_join_within(stream, \"-5m\", \"1m\")",
    doc: "the same of both streams",
    details: "It makes `(key, (Some(a), Some(b)))` as `join_within` makes pairs, and `(key, (Some(a), None))` or `(key, (None, \
              Some(b)))` of a record of either stream once the watermark says that it will meet none of the other; that has the \
              time of the record.",
    example: "pairs.event_time(|(_, n)| n, \"10s\").full_outer_join_within(others.event_time(|(_, n)| n, \"10s\"), \"-1m\", \"1m\")",
    ..BASE
};

const BASE: Operator = Operator {
    forms: &[&[Arg::Stream, Arg::Offset, Arg::Offset]],
    partitioning: Effect::Makes,
    times: Times::Meets,
    lower: Lower::Head(Begin {
        words: |arguments| {
            let (earliest, latest) = within(arguments);
            let (earliest, latest) =
                (duration::show_offset(earliest), duration::show_offset(latest));
            format!("join within {earliest} to {latest}")
        },
        lower: |arguments, _| {
            let (earliest, latest) = within(arguments);
            let clock = Read::of(Form::plain(&flow::CLOCK)).from(2);
            Lowered::reads([happened(), happened().from(1), clock])
                .keeping(Keeps::EventSides(earliest.abs_diff(latest)))
        },
        emit,
        record: with_time,
    }),
    ..Operator::BASE
};

/// By how much the time of the other record may differ, in milliseconds.
pub(crate) fn within(arguments: &Arguments) -> (i64, i64) {
    match arguments.offsets()[..] {
        [earliest, latest] => (earliest, latest),
        _ => unreachable!("invariant: every form has two offsets"),
    }
}

/// By how much the times of what comes out may be behind the watermark, in milliseconds: records that meet nothing come
/// when their time is over.
pub(crate) fn behind(operator: &Operator, arguments: &Arguments) -> u64 {
    let (earliest, latest) = within(arguments);
    let (left, right) = (latest.max(0).unsigned_abs(), earliest.min(0).unsigned_abs());
    match operator.name {
        name if name == LEFT_OUTER.name => left,
        name if name == FULL_OUTER.name => left.max(right),
        _ => 0,
    }
}

fn emit(head: &HeadCode<'_>) -> TokenStream {
    let (earliest, latest) = within(head.arguments());
    let clock = head.flow(2);
    let within = quote!(__dstream::Within { earliest: #earliest, latest: #latest });
    head.of_two_with(head.name(), &quote!(&#clock, #within))
}

#[cfg(test)]
mod tests {
    use crate::testing::{phase, physical};

    #[test]
    fn both_sides_move_by_key_and_one_watermark_is_over_both() {
        let plan = physical(
            "let a = source::text(\"a:\").map(|l| (l, 1)).event_time(|x| 0i64, \"1s\");
             let b = source::text(\"b:\").map(|l| (l, 1)).event_time(|x| 0i64, \"2s\");
             let met = a.left_outer_join_within(b, \"-5m\", \"1m\");
             met.reduce_by_key_and_window(add, \"10s\").print();",
        );
        insta::assert_snapshot!(phase(&plan, "stages"), @r"
        stage 0  a.source = source 0, per range of a.source
          a.source.map = map |l| (l, 1)
            a = event_time |x| 0i64, 1s
              tail 0: greatest of its time
              tail 1: spread with when it happened
        stage 1  b.source = source 1, per range of b.source
          b.source.map = map |l| (l, 1)
            b = event_time |x| 0i64, 2s
              tail 0: greatest of its time
              tail 1: spread with when it happened
        stage 2  met.watermark = watermark flow 0 with flow 1, one task, keeps times until checkpoint
          tail 0: broadcast
        stage 3  met = join within -5min to 1min flow 2 with flow 3 with flow 4, per partition, keeps both sides of 6min until checkpoint
          tail 0: combine by pane by pane
        stage 4  met.reduce_by_key_and_window.watermark = watermark flow 0 with flow 1, one task, keeps times until checkpoint
          tail 0: broadcast
        stage 5  met.reduce_by_key_and_window = event windows of 10s every 10s flow 5 with flow 6, per partition, keeps open windows of 10s every 10s until checkpoint
          tail 0: output met.reduce_by_key_and_window
        flow 0  times, gathered from 0.0
        flow 1  times, gathered from 1.0
        flow 2  by key from 0.1
        flow 3  by key from 1.1
        flow 4  to every partition from 2.0
        flow 5  combined by add and pane from 3.0
        flow 6  to every partition from 4.0
        ");
    }
}
