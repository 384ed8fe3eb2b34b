//! The operators of the language: each one is a file with a record of everything that is particular to it.
//!
//! The parser, the passes, the dumps, the fingerprint and the code generator read these records and know no
//! operator by name. To add an operator: its file and a line in [`ALL`]. CONTRIBUTING.md has the steps.

mod arguments;
pub mod elsewhere;
mod lower;
#[cfg(test)]
pub(crate) mod reference;
pub mod source;

mod aggregate;
mod cogroup;
mod count;
mod count_by_value;
mod count_by_value_and_window;
mod count_by_window;
mod distinct;
mod distinct_by;
mod distinct_within;
mod event_time;
mod event_window;
mod filter;
mod filter_map;
mod flat_map;
mod flat_map_values;
mod fold_by_key;
mod foreach_batch;
mod full_outer_join;
mod group_by_key;
mod group_by_key_and_window;
mod inspect;
mod join;
pub(crate) mod join_table;
pub(crate) mod join_within;
mod key_by;
mod latest_by_key;
mod left_outer_join;
mod map;
mod map_partitions;
mod map_values;
mod print;
mod reduce;
mod reduce_by_key;
mod reduce_by_key_and_window;
mod reduce_by_window;
mod reduction;
mod right_outer_join;
mod running_reduce;
mod sample;
mod save;
mod session;
mod sort_by;
mod subtract_by_key;
mod top_k;
mod track;
pub(crate) mod union;
mod update_state_by_key;
pub(crate) mod watermark;
mod window;
mod window_batches;
mod zip_with_index;

use proc_macro2::Span;

pub use arguments::{Arg, Argument, Arguments, Named};
pub use join_table::WithTable;
pub use lower::{
    Before, Begin, Between, EmitStep, Entry, EntryText, Keeps, Lower, Lowered, Read, Sink,
};

/// Every operator, in the order in which they are explained.
pub static ALL: &[&Operator] = &[
    &map::OPERATOR,
    &filter::OPERATOR,
    &filter_map::OPERATOR,
    &flat_map::OPERATOR,
    &map_values::OPERATOR,
    &flat_map_values::OPERATOR,
    &key_by::OPERATOR,
    &inspect::OPERATOR,
    &sample::OPERATOR,
    &map_partitions::OPERATOR,
    &union::OPERATOR,
    &event_time::OPERATOR,
    &reduce::OPERATOR,
    &count::OPERATOR,
    &distinct::OPERATOR,
    &count_by_value::OPERATOR,
    &top_k::OPERATOR,
    &sort_by::OPERATOR,
    &zip_with_index::OPERATOR,
    &reduce_by_key::OPERATOR,
    &fold_by_key::OPERATOR,
    &group_by_key::OPERATOR,
    &aggregate::BY_KEY,
    &aggregate::ALL,
    &join::OPERATOR,
    &left_outer_join::OPERATOR,
    &right_outer_join::OPERATOR,
    &full_outer_join::OPERATOR,
    &cogroup::OPERATOR,
    &subtract_by_key::OPERATOR,
    &join_within::OPERATOR,
    &join_within::LEFT_OUTER,
    &join_within::FULL_OUTER,
    &running_reduce::OPERATOR,
    &aggregate::RUNNING,
    &latest_by_key::OPERATOR,
    &track::OPERATOR,
    &update_state_by_key::OPERATOR,
    &distinct_within::OPERATOR,
    &distinct_by::OPERATOR,
    &session::OPERATOR,
    &window::OPERATOR,
    &window_batches::OPERATOR,
    &reduce_by_key_and_window::OPERATOR,
    &group_by_key_and_window::OPERATOR,
    &reduce_by_window::OPERATOR,
    &count_by_window::OPERATOR,
    &count_by_value_and_window::OPERATOR,
    &save::OPERATOR,
    &print::OPERATOR,
    &foreach_batch::OPERATOR,
];

/// What is known about an operator.
#[derive(Debug)]
pub struct Operator {
    /// Its name in the language.
    pub name: &'static str,
    /// How it is called, for messages.
    pub usage: &'static str,
    /// The kinds of argument it takes; one list for each way to call it.
    pub forms: &'static [&'static [Arg]],
    /// The arguments that it may be given by name, behind those: `name = value`.
    pub named: &'static [Named],
    /// What it is for, in one line.
    pub doc: &'static str,
    /// What else a user has to know: order, empty batches, duplicate keys.
    pub details: &'static str,
    /// How it is written: a stream, or an output. `words` are texts, `numbers` are `u64`, `pairs` and `others`
    /// pairs of them.
    pub example: &'static str,
    /// What it does to "all records of a key are in the partition of that key".
    pub partitioning: Effect,
    /// What it does to "a key occurs once per batch".
    pub uniqueness: Effect,
    /// Whether its function returns a key.
    pub makes_key: bool,
    /// Whether its function only looks at records: then it may differ from run to run, and equal ones are not merged.
    pub observes: bool,
    /// Whether it makes the records of its parent over a window, as they are.
    pub is_window: bool,
    /// Whether the windows that it says are sessions.
    pub is_session: bool,
    /// What does the same over a window with less than all its records; its arguments are the functions of this one,
    /// then length and slide.
    pub over_window: Option<&'static Operator>,
    /// Whether it emits nothing in a batch in which nothing reaches it and no window holds anything.
    pub silent: bool,
    /// What it becomes in the physical plan, and the code of that.
    pub lower: Lower,
    /// What the compiler puts between it and its only parent.
    pub before: Option<Before>,
    /// What it does with the times of an event-timed stream.
    pub times: Times,
    /// What stands for it where its parent is event-timed: its form by event time.
    pub by_event_time: Option<&'static Operator>,
    /// What stands for it where the records of its parent are of windows.
    pub by_window: Option<&'static Operator>,
    /// The operators that it consists of.
    pub expands: Option<&'static Expansion>,
    /// Whether a window of what it makes is the same as what it makes of a window.
    pub before_window: bool,
    /// What stands for it where its parent has event-time windows that nothing has reduced yet.
    pub over_event_time: Option<&'static OverEventTime>,
    /// What stands for it where its other side is a table.
    pub by_table: Option<&'static WithTable>,
    /// What it makes.
    pub makes: Nature,
}

/// An operator that consists of others: a step, a reduction of what that makes, and another step.
#[derive(Debug)]
pub struct Expansion {
    /// The step, whose arguments are the functions of the operator.
    pub begins: &'static Operator,
    /// Merges accumulators. What the operator was given by name is for this one.
    pub reduces: &'static Operator,
    /// The step behind it.
    pub finishes: &'static Operator,
}

/// An operator over windows of event time. The arguments of both forms are its own, then those of the windows.
#[derive(Debug)]
pub struct OverEventTime {
    /// Over windows of a length.
    pub windows: Operator,
    /// Over sessions.
    pub sessions: Operator,
}

impl PartialEq for Operator {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Operator {}

impl Operator {
    /// What most operators are: a base for `..`.
    const BASE: Self = Self {
        name: "",
        usage: "",
        forms: &[],
        named: &[],
        doc: "",
        details: "",
        example: "",
        partitioning: Effect::Loses,
        uniqueness: Effect::Loses,
        makes_key: false,
        observes: false,
        is_window: false,
        is_session: false,
        over_window: None,
        silent: true,
        lower: Lower::Output(|_| Sink::Print(0)),
        before: None,
        times: Times::Loses,
        by_event_time: None,
        by_window: None,
        over_event_time: None,
        expands: None,
        before_window: false,
        by_table: None,
        makes: Nature::Stream,
    };

    /// Whether its records come from outside.
    #[must_use]
    pub fn is_source(&self) -> bool {
        matches!(self.lower, Lower::Source(_))
    }

    /// Whether it is two streams as one.
    #[must_use]
    pub fn is_union(&self) -> bool {
        matches!(self.lower, Lower::Union(_))
    }

    /// Whether records leave the job by it.
    #[must_use]
    pub fn is_output(&self) -> bool {
        matches!(self.lower, Lower::Output(_))
    }

    /// Whether it takes the records of its parent one by one, in the parent's stage.
    #[must_use]
    pub fn is_fused(&self) -> bool {
        matches!(self.lower, Lower::Step { .. } | Lower::Output(_))
    }

    /// Whether it works on the records of a batch together, whatever windows they are of, and keeps nothing.
    #[must_use]
    pub fn mixes_windows(&self, arguments: &Arguments) -> bool {
        match &self.lower {
            Lower::Head(begin) if self.times == Times::Loses => {
                (begin.lower)(arguments, Span::call_site()).keeps == Keeps::Nothing
            }
            _ => false,
        }
    }

    /// What it does with the times of its records: those that take them one by one keep them.
    #[must_use]
    pub fn times(&self) -> Times {
        match self.lower {
            Lower::Step { .. } | Lower::Union(_) | Lower::Output(_) => match self.times {
                Times::Loses => Times::Keeps,
                times => times,
            },
            _ => self.times,
        }
    }

    /// Whether it only leaves out records, and changes none.
    #[must_use]
    pub fn selects(&self) -> bool {
        matches!(self.lower, Lower::Step { selects: true, .. })
    }
}

/// What an operator does to a property of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It holds afterwards if it held before.
    Keeps,
    /// It does not hold afterwards.
    Loses,
    /// It holds afterwards, for the key that the records had.
    Makes,
    /// It holds afterwards, for another key than the records had.
    Rekeys,
}

/// What operators may be called on what one makes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Nature {
    /// A stream: records in batches.
    #[default]
    Stream,
    /// A table: records that are all there from the start.
    Table,
    /// The last value of each key: a table, and the stream of its changes.
    Latest,
    /// What was made, record by record, of changes of a table.
    Changes,
}

/// What an operator does with the times of its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Times {
    /// Its records have none, if it works per batch.
    Loses,
    /// They have those of the records that they are made of.
    Keeps,
    /// They have those of the records of its first parent.
    KeepsFirst,
    /// It says when each record happened.
    Says,
    /// They have the windows that they are of.
    Windows,
    /// They have times, and it says which windows the next operator reduces.
    Assigns,
    /// They have one of those of the records of both parents.
    Meets,
}

/// The operator of that name.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static Operator> {
    ALL.iter().copied().find(|operator| operator.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_usage_starts_with_them() {
        for (i, operator) in ALL.iter().enumerate() {
            let name = operator.name;
            assert!(operator.usage.starts_with(name), "{name}");
            assert!(ALL[..i].iter().all(|other| other.name != name), "{name}");
            assert!(!operator.doc.is_empty() && !operator.forms.is_empty(), "{name}");
        }
    }
}
