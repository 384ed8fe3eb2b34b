//! What the operators per batch are over windows and sessions of event time.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};

use super::event_window::{Reduction, over, windowed};
use super::{Arg, Arguments, Effect, Operator, OverEventTime, distinct, fold_by_key};
use crate::codegen::emit::{EntryCode, merge_of};
use crate::ir::logical::Function;

const MERGE: Arg = Arg::Function { parameters: 2, example: "|a, b| …" };
const INVERSE: Arg = Arg::Function { parameters: 2, example: "|all, left| …" };
const LENGTH: Arg = Arg::Time("window");
const SLIDE: Arg = Arg::Time("slide");

/// Forms of operators that have no function.
const SPANS: &[&[Arg]] = &[&[LENGTH], &[LENGTH, SLIDE]];
/// Forms of those that reduce. An inverse is not needed: each record is merged once into its pane.
const MERGES: &[&[Arg]] = &[
    &[MERGE, LENGTH],
    &[MERGE, LENGTH, SLIDE],
    &[MERGE, INVERSE, LENGTH],
    &[MERGE, INVERSE, LENGTH, SLIDE],
];

/// The sum of two counts.
fn sum(at: Span) -> Function {
    merge_of(at, |acc, x| quote_spanned!(at=> #acc + #x))
}

/// Values of one key with the user's function.
pub(super) struct ByKey;

impl Reduction for ByKey {
    const WORDS: &'static str = "by pane";

    fn merge(arguments: &Arguments, _: Span) -> Function {
        arguments.function().clone()
    }

    fn pair(entry: &EntryCode<'_>) -> TokenStream {
        let record = &entry.record;
        quote!(#record)
    }
}

pub(super) static REDUCE_BY_KEY: OverEventTime =
    over::<ByKey>("reduce_by_key", Effect::Makes, None);
pub(super) static REDUCE_BY_KEY_AND_WINDOW: Operator =
    windowed::<ByKey>("reduce_by_key_and_window", MERGES, Effect::Makes);

/// Values that were folded each, with the second function.
pub(super) struct Fold;

impl Reduction for Fold {
    const WORDS: &'static str = "by pane";

    fn merge(arguments: &Arguments, _: Span) -> Function {
        arguments.nth_function(2).clone()
    }

    fn pair(entry: &EntryCode<'_>) -> TokenStream {
        ByKey::pair(entry)
    }
}

pub(super) static FOLD_BY_KEY: OverEventTime =
    over::<Fold>("fold_by_key", Effect::Makes, Some(fold_by_key::fold));

/// All values of a key.
pub(super) struct Group;

impl Reduction for Group {
    const WORDS: &'static str = "by pane, with its time";
    const LISTS: bool = true;

    fn merge(_: &Arguments, at: Span) -> Function {
        distinct::first(at)
    }

    fn pair(entry: &EntryCode<'_>) -> TokenStream {
        ByKey::pair(entry)
    }
}

pub(super) static GROUP_BY_KEY: OverEventTime = over::<Group>("group_by_key", Effect::Makes, None);
pub(super) static GROUP_BY_KEY_AND_WINDOW: Operator =
    windowed::<Group>("group_by_key_and_window", SPANS, Effect::Makes);

/// All records with the user's function, under one key.
pub(super) struct All;

impl Reduction for All {
    const WORDS: &'static str = "(true, record) by pane";

    fn merge(arguments: &Arguments, _: Span) -> Function {
        arguments.function().clone()
    }

    fn pair(entry: &EntryCode<'_>) -> TokenStream {
        let at = entry.at;
        entry.under(&quote_spanned!(at=> true))
    }

    fn record(record: &Ident) -> TokenStream {
        quote!((_, #record))
    }
}

pub(super) static REDUCE: OverEventTime = over::<All>("reduce", Effect::Loses, None);
pub(super) static REDUCE_BY_WINDOW: Operator =
    windowed::<All>("reduce_by_window", MERGES, Effect::Loses);

/// The number of all records.
pub(super) struct Count;

impl Reduction for Count {
    const WORDS: &'static str = "(true, 1) by pane";

    fn merge(_: &Arguments, at: Span) -> Function {
        sum(at)
    }

    fn pair(entry: &EntryCode<'_>) -> TokenStream {
        let at = entry.at;
        quote_spanned!(at=> (true, 1u64))
    }

    fn record(record: &Ident) -> TokenStream {
        All::record(record)
    }
}

pub(super) static COUNT: OverEventTime = over::<Count>("count", Effect::Loses, None);
pub(super) static COUNT_BY_WINDOW: Operator =
    windowed::<Count>("count_by_window", SPANS, Effect::Loses);

/// The number of equal records.
pub(super) struct CountByValue;

impl Reduction for CountByValue {
    const WORDS: &'static str = "(record, 1) by pane";

    fn merge(_: &Arguments, at: Span) -> Function {
        sum(at)
    }

    fn pair(entry: &EntryCode<'_>) -> TokenStream {
        let at = entry.at;
        entry.pair(&quote_spanned!(at=> 1u64))
    }
}

pub(super) static COUNT_BY_VALUE: OverEventTime =
    over::<CountByValue>("count_by_value", Effect::Rekeys, None);
pub(super) static COUNT_BY_VALUE_AND_WINDOW: Operator =
    windowed::<CountByValue>("count_by_value_and_window", SPANS, Effect::Rekeys);

/// Each record once.
pub(super) struct Distinct;

impl Reduction for Distinct {
    const WORDS: &'static str = "(record, true) by pane";

    fn merge(_: &Arguments, at: Span) -> Function {
        distinct::first(at)
    }

    fn pair(entry: &EntryCode<'_>) -> TokenStream {
        let at = entry.at;
        entry.pair(&quote_spanned!(at=> true))
    }

    fn record(record: &Ident) -> TokenStream {
        quote!((#record, _))
    }
}

pub(super) static DISTINCT: OverEventTime = over::<Distinct>("distinct", Effect::Loses, None);
