//! The operators of the language: one record of facts each, in small files by family.
//!
//! Validation, passes and documentation read these facts and know no operator by name. To add an
//! operator: its variant in [`Op`], its facts in the file of its family, a line in [`ALL`] and in
//! [`facts`]; a narrow one also needs its `Step`, a wide one its form of flow (`pass/stages`).

mod arguments;
pub mod elsewhere;
mod gather;
mod keyed;
mod output;
mod record;
mod several;
pub mod source;
mod window;

pub use arguments::{Arg, Argument, Arguments};

use crate::ir::logical::Op;

/// What is known about an operator.
#[derive(Debug)]
pub struct Facts {
    /// Its name in the language.
    pub name: &'static str,
    /// How it is called, for messages.
    pub usage: &'static str,
    /// The kinds of argument it takes; one list for each way to call it.
    pub forms: &'static [&'static [Arg]],
    /// Makes the node from arguments that fit one of the forms.
    pub make: fn(&mut Arguments) -> Op,
    /// What a partition of it needs of its parents.
    pub dependency: Dependency,
    /// Whether its input must be (key, value) pairs.
    pub keyed_input: bool,
    /// Whether its output is (key, value) pairs whatever its function returns.
    pub keyed_output: bool,
    /// Whether its function returns a key.
    pub makes_key: bool,
    /// Whether it keeps something from batch to batch.
    pub state: bool,
    /// What it does to "all records of a key are in the partition of that key".
    pub partitioning: Effect,
    /// What it does to "a key occurs once per batch".
    pub uniqueness: Effect,
    /// What it is for, in one line.
    pub doc: &'static str,
}

/// What a partition of a stream needs of its parents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dependency {
    /// Each record of the parent by itself: it fuses into the parent's stage.
    Narrow,
    /// The records of both parents, as they are.
    Both,
    /// All records with its keys; no shuffle where the parent is partitioned by key already.
    ByKey,
    /// The same partition of the parent's last batches.
    SamePartition,
    /// The whole batch, in one task.
    Gather,
    /// It leaves the job.
    Output,
}

/// What an operator does to a property of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It holds afterwards if it held before.
    Keeps,
    /// It does not hold afterwards.
    Loses,
    /// It holds afterwards.
    Makes,
}

/// Every operator, in the order in which they are explained.
pub const ALL: &[&Facts] = &[
    &record::MAP,
    &record::FILTER,
    &record::FILTER_MAP,
    &record::FLAT_MAP,
    &record::MAP_VALUES,
    &record::KEY_BY,
    &several::UNION,
    &gather::REDUCE,
    &gather::COUNT,
    &gather::TOP_K,
    &keyed::REDUCE_BY_KEY,
    &several::JOIN,
    &keyed::RUNNING_REDUCE,
    &window::WINDOW,
    &window::REDUCE_BY_KEY_AND_WINDOW,
    &output::SAVE,
    &output::PRINT,
];

/// The facts of the operator of that name.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static Facts> {
    ALL.iter().copied().find(|facts| facts.name == name)
}

/// The facts of a node's operator.
#[must_use]
pub fn facts(op: &Op) -> &'static Facts {
    match op {
        Op::Source { format, .. } => source::facts(*format),
        Op::Map(_) => &record::MAP,
        Op::Filter(_) => &record::FILTER,
        Op::FilterMap(_) => &record::FILTER_MAP,
        Op::FlatMap(_) => &record::FLAT_MAP,
        Op::MapValues(_) => &record::MAP_VALUES,
        Op::KeyBy(_) => &record::KEY_BY,
        Op::Union => &several::UNION,
        Op::Reduce(_) => &gather::REDUCE,
        Op::Count => &gather::COUNT,
        Op::ReduceByKey(_) => &keyed::REDUCE_BY_KEY,
        Op::Join => &several::JOIN,
        Op::RunningReduce(_) => &keyed::RUNNING_REDUCE,
        Op::Window { .. } => &window::WINDOW,
        Op::ReduceByKeyAndWindow { .. } => &window::REDUCE_BY_KEY_AND_WINDOW,
        Op::TopK { .. } => &gather::TOP_K,
        Op::Save { .. } => &output::SAVE,
        Op::Print { .. } => &output::PRINT,
    }
}

/// The functions that a node calls, in the order of its arguments.
#[must_use]
pub fn functions(op: &Op) -> Vec<&crate::ir::logical::Function> {
    match op {
        Op::Map(f)
        | Op::Filter(f)
        | Op::FilterMap(f)
        | Op::FlatMap(f)
        | Op::MapValues(f)
        | Op::KeyBy(f)
        | Op::Reduce(f)
        | Op::ReduceByKey(f)
        | Op::RunningReduce(f) => vec![f],
        Op::ReduceByKeyAndWindow { merge, inverse, .. } => {
            std::iter::once(merge).chain(inverse).collect()
        }
        Op::TopK { score, .. } => vec![score],
        Op::Source { .. }
        | Op::Union
        | Op::Count
        | Op::Join
        | Op::Window { .. }
        | Op::Save { .. }
        | Op::Print { .. } => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_usage_starts_with_them() {
        for (i, facts) in ALL.iter().enumerate() {
            assert!(facts.usage.starts_with(facts.name), "{}", facts.name);
            assert!(ALL[..i].iter().all(|other| other.name != facts.name), "{}", facts.name);
            assert!(!facts.doc.is_empty() && !facts.forms.is_empty(), "{}", facts.name);
        }
    }

    #[test]
    fn narrow_operators_keep_nothing() {
        for facts in ALL.iter().filter(|facts| facts.dependency == Dependency::Narrow) {
            assert!(!facts.state, "{}", facts.name);
        }
    }
}
