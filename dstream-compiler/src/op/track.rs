//! `track`

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};

use super::lower::whole;
use super::{Arg, Arguments, Begin, Keeps, Lower, Lowered, Named, Operator, Read};
use crate::codegen::emit::{HeadCode, optional};

const TIMEOUT: Named =
    Named { name: "timeout", arg: Arg::Time("time"), example: "timeout = \"30m\"", needs: None };

const ON_TIMEOUT: Named = Named {
    name: "on_timeout",
    arg: Arg::Stateful { parameters: 2, example: "|key, state| …" },
    example: "on_timeout = |key, state| …",
    needs: Some("timeout"),
};

const ON_TIMER: Named = Named {
    name: "on_timer",
    arg: Arg::Stateful { parameters: 3, example: "|key, at, state| …" },
    example: "on_timer = |key, at, state| …",
    needs: None,
};

pub(super) static OPERATOR: Operator = Operator {
    name: "track",
    usage: "track(|key, value, state| …)",
    forms: &[&[Arg::Stateful { parameters: 3, example: "|key, value, state| …" }]],
    named: &[TIMEOUT, ON_TIMEOUT, ON_TIMER],
    doc: "what a function makes of each record and of what it keeps of the record's key",
    details: "The function is called for each pair `(key, value)`, in order, with the key's `state: &mut State<T>`, where `T` is a \
              record of yours; it returns the records to emit, as an `Option` or anything that can be iterated over (a function that never \
              emits returns `None::<T>`). \
              `state.or_default()`, `set` and `get_mut` change it, `remove` drops it. `timeout = \"30m\"` drops the state of a key \
              without records for more than that, in the first batch that ends later, before its records; `on_timeout = |key, \
              state| …` is called with the last state, once, and returns what to emit. With `on_timer = |key, at, state| …` the \
              functions may take a last parameter `ctx` and set timers of the key, `ctx.timer(at)`, in milliseconds of batch time: \
              each is called once, in the first batch that ends at that time or later, before its records. Removing a state drops \
              its timers. A batch costs by the keys that it calls.",
    example: "pairs.track(|word, n, seen: &mut State<u64>| { *seen.or_default() += n; Some((word, *seen.or_default())) }, \
              timeout = \"30m\", on_timeout = |word, n| Some((word, n)))",
    lower: Lower::Head(Begin {
        words: |_| "track".to_owned(),
        lower: |arguments, _| Lowered::reads([Read::keyed()]).keeping(keeps(arguments)),
        emit,
        record: whole,
    }),
    ..Operator::BASE
};

fn keeps(arguments: &Arguments) -> Keeps {
    let timeout = arguments.named_time(TIMEOUT.name);
    let emits = arguments.named_function(ON_TIMEOUT.name).is_some();
    match timeout {
        _ if arguments.named_function(ON_TIMER.name).is_some() => Keeps::Waking(None),
        Some(ms) if emits => Keeps::Waking(Some(ms)),
        Some(ms) => Keeps::Expiring(ms),
        None => Keeps::Values,
    }
}

fn emit(head: &HeadCode<'_>) -> TokenStream {
    let (path, flow, seed) = (head.path("track"), head.flow(0), head.seed());
    let arguments = head.arguments();
    let timers = arguments.named_function(ON_TIMER.name);
    // Without timers a function gets a context that can set none.
    let context = timers.is_none().then_some("untimed");
    let at = head.at();
    let nothing = |parameters| quote_spanned!(at=> |#parameters| {});
    let record = head.giving(arguments.function(), &["key", "x", "state"], context);
    let timeout = arguments.named_function(ON_TIMEOUT.name);
    let timed_out = timeout.map_or_else(
        || nothing(quote_spanned!(at=> _, _, _, _)),
        |function| head.giving(function, &["key", "state"], None),
    );
    let timer = timers.map_or_else(
        || nothing(quote_spanned!(at=> _, _, _, _, _)),
        |function| head.giving(function, &["key", "x", "state"], context),
    );
    let after = optional(arguments.named_time(TIMEOUT.name));
    quote!(#path(&#flow, #record, #timed_out, #timer, #after, #seed))
}

#[cfg(test)]
mod tests {
    use crate::testing::{phase, physical};

    #[test]
    fn records_move_by_key_and_the_plan_says_how_long_keys_are_kept() {
        let plan = physical(
            "let pairs = source::text(\"x:\").map(|l| (l, 1));
             pairs.track(f).print();
             pairs.track(f, timeout = \"90s\").print();
             pairs.track(f, timeout = \"90s\", on_timeout = g).print();
             pairs.reduce_by_key(add).track(|key, n, state, ctx| None, on_timer = |key, at, state| None).print();",
        );
        insta::assert_snapshot!(phase(&plan, "stages"), @r"
        stage 0  pairs.source = source 0, per range of pairs.source
          pairs = map |l| (l, 1)
            tail 0: spread
            tail 1: combine
        stage 1  pairs.track = track flow 0, per partition, keeps previous batch until checkpoint
          tail 0: output pairs.track
        stage 2  pairs.track_2 = track flow 0, per partition, keeps previous batch for 90s until checkpoint
          tail 0: output pairs.track_2
        stage 3  pairs.track_3 = track flow 0, per partition, keeps keys for 90s until checkpoint
          tail 0: output pairs.track_3
        stage 4  pairs.reduce_by_key = merge flow 1, per partition
          tail 0: spread in the same partition
        stage 5  pairs.reduce_by_key.track = track flow 2, per partition, keeps keys and timers until checkpoint
          tail 0: output pairs.reduce_by_key.track
        flow 0  by key from 0.0
        flow 1  combined by add from 0.1
        flow 2  by key, same partition from 4.0
        ");
    }
}
