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

mod count;
mod count_by_value;
mod distinct;
mod distinct_by;
mod distinct_within;
mod filter;
mod filter_map;
mod flat_map;
mod foreach_batch;
mod join;
mod key_by;
mod latest_by_key;
mod left_outer_join;
mod map;
mod map_values;
mod print;
mod reduce;
mod reduce_by_key;
mod reduce_by_key_and_window;
mod running_reduce;
mod save;
mod top_k;
mod track;
mod union;
mod update_state_by_key;
mod window;

pub use arguments::{Arg, Argument, Arguments, Named};
pub use lower::{
    Before, Begin, Between, EmitStep, Entry, EntryText, Keeps, Lower, Lowered, Read, Sink,
};

/// Every operator, in the order in which they are explained.
pub static ALL: [&Operator; 26] = [
    &map::OPERATOR,
    &filter::OPERATOR,
    &filter_map::OPERATOR,
    &flat_map::OPERATOR,
    &map_values::OPERATOR,
    &key_by::OPERATOR,
    &union::OPERATOR,
    &reduce::OPERATOR,
    &count::OPERATOR,
    &distinct::OPERATOR,
    &count_by_value::OPERATOR,
    &top_k::OPERATOR,
    &reduce_by_key::OPERATOR,
    &join::OPERATOR,
    &left_outer_join::OPERATOR,
    &running_reduce::OPERATOR,
    &latest_by_key::OPERATOR,
    &track::OPERATOR,
    &update_state_by_key::OPERATOR,
    &distinct_within::OPERATOR,
    &distinct_by::OPERATOR,
    &window::OPERATOR,
    &reduce_by_key_and_window::OPERATOR,
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
    /// Whether it emits nothing in a batch in which nothing reaches it and no window holds anything.
    pub silent: bool,
    /// What it becomes in the physical plan, and the code of that.
    pub lower: Lower,
    /// What the compiler puts between it and its only parent.
    pub before: Option<Before>,
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
        silent: true,
        lower: Lower::Output(|_| Sink::Print(0)),
        before: None,
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

/// The operator of that name.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static Operator> {
    ALL.into_iter().find(|operator| operator.name == name)
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
