//! The forms in which records flow between stages: each is a tail that makes blocks and a way in which the blocks
//! move.
//!
//! Passes and code generation read these records, so a new form is a tail in the runtime and a record here.

use proc_macro2::TokenStream;
use quote::quote;

use super::logical::{Function, same_function};
use super::rust_text::short;
use crate::op::{Argument, Entry};

/// How blocks move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Movement {
    /// A segment of every task to every partition.
    Shuffle,
    /// From a partition to the same one.
    Narrow,
    /// From all partitions to one task.
    Gather,
}

/// A kind of flow.
#[derive(Debug)]
pub struct Kind {
    /// What it is, for plans; `{}` stands for the argument.
    pub words: &'static str,
    /// How blocks move.
    pub movement: Movement,
    /// The runtime's type of the tail.
    pub tail: &'static str,
    /// The tail's type arguments, to be inferred.
    pub types: fn() -> TokenStream,
    /// What the tail does, for plans.
    pub tail_words: &'static str,
    /// The tail's row in the plan's tables.
    pub row: &'static str,
    /// The runtime's function that makes a flow of tails; none where the only reader takes the tails itself.
    pub flow: Option<&'static str>,
}

impl PartialEq for Kind {
    fn eq(&self, other: &Self) -> bool {
        self.words == other.words
    }
}

impl Eq for Kind {}

/// Combined by key with a function, shuffled.
pub static COMBINED: Kind = Kind {
    words: "combined by {}",
    movement: Movement::Shuffle,
    tail: "Combine",
    types: || quote!(<_, _, _>),
    tail_words: "combine",
    row: "Combine",
    flow: Some("combined"),
};

/// By key, shuffled.
pub static KEYED: Kind = Kind {
    words: "by key",
    movement: Movement::Shuffle,
    tail: "Spread",
    types: || quote!(<_, _, false>),
    tail_words: "spread",
    row: "Partition",
    flow: Some("keyed"),
};

/// By key, in the same partition: the key has not changed since the last shuffle.
pub static KEYED_OWN: Kind = Kind {
    words: "by key, same partition",
    movement: Movement::Narrow,
    tail: "Spread",
    types: || quote!(<_, _, true>),
    tail_words: "spread in the same partition",
    row: "Keep",
    flow: Some("keyed"),
};

/// Rows in the same partition.
pub static ROWS: Kind = Kind {
    words: "rows, same partition",
    movement: Movement::Narrow,
    tail: "Rows",
    types: || quote!(<_>),
    tail_words: "rows",
    row: "Rows",
    flow: Some("rows"),
};

/// Partial values, gathered, reduced with a function.
pub static FOLD: Kind = Kind {
    words: "folded by {}, gathered",
    movement: Movement::Gather,
    tail: "Fold",
    types: || quote!(<_, _>),
    tail_words: "fold",
    row: "Partial",
    flow: None,
};

/// Partial counts, gathered.
pub static TALLY: Kind = Kind {
    words: "counts, gathered",
    movement: Movement::Gather,
    tail: "Tally",
    types: || quote!(),
    tail_words: "tally",
    row: "Partial",
    flow: None,
};

/// Records, gathered.
pub static GATHERED: Kind = Kind {
    words: "records, gathered",
    movement: Movement::Gather,
    tail: "Gathered",
    types: || quote!(<_>),
    tail_words: "gather",
    row: "Partial",
    flow: None,
};

/// The best of each partition, gathered; how many are kept.
pub static TOP: Kind = Kind {
    words: "top {}, gathered",
    movement: Movement::Gather,
    tail: "Top",
    types: || quote!(<_, _>),
    tail_words: "top",
    row: "Partial",
    flow: None,
};

/// Combined by pane of event time and by key with a function, shuffled by key.
pub static PANES: Kind = Kind {
    words: "combined by {} and pane",
    movement: Movement::Shuffle,
    tail: "CombinePanes",
    types: || quote!(<_, _, _>),
    tail_words: "combine by pane",
    row: "Combine",
    flow: Some("combined_panes"),
};

/// Lists of values with their times by pane of event time and by key, shuffled by key.
pub static PANE_LISTS: Kind = Kind {
    words: "listed by pane",
    movement: Movement::Shuffle,
    tail: "CombinePanes",
    types: || quote!(<_, _, _>),
    tail_words: "list by pane",
    row: "Combine",
    flow: Some("listed_panes"),
};

/// The best of each window, gathered; how many are kept.
pub static WINDOW_TOP: Kind = Kind {
    words: "top {} of each window, gathered",
    movement: Movement::Gather,
    tail: "WindowTop",
    types: || quote!(<_, _>),
    tail_words: "top by window",
    row: "Partial",
    flow: None,
};

/// The greatest times of records by split, gathered.
pub static TIMES: Kind = Kind {
    words: "times, gathered",
    movement: Movement::Gather,
    tail: "Marks",
    types: || quote!(),
    tail_words: "greatest",
    row: "Partial",
    flow: Some("times"),
};

/// One watermark, for every partition.
pub static CLOCK: Kind = Kind {
    words: "to every partition",
    movement: Movement::Shuffle,
    tail: "Broadcast",
    types: || quote!(<_>),
    tail_words: "broadcast",
    row: "Broadcast",
    flow: Some("clock"),
};

/// A form of flow.
#[derive(Debug, Clone)]
pub struct Form {
    /// Which kind.
    pub kind: &'static Kind,
    /// What tails and reader are given.
    pub argument: Option<Argument>,
    /// What is done with a record before it leaves.
    pub entry: Option<Entry>,
}

impl Form {
    /// Of a kind that takes no argument.
    #[must_use]
    pub fn plain(kind: &'static Kind) -> Self {
        Self { kind, argument: None, entry: None }
    }

    /// Of a kind that takes a function.
    #[must_use]
    pub fn function(kind: &'static Kind, function: &Function) -> Self {
        let argument = Some(Argument::Function(function.clone()));
        Self { argument, ..Self::plain(kind) }
    }

    /// Whether two forms are one, so that a flow can be shared.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        let arguments = match (&self.argument, &other.argument) {
            (None, None) => true,
            (Some(a), Some(b)) => a.same(b),
            _ => false,
        };
        let entries = match (&self.entry, &other.entry) {
            (None, None) => true,
            (Some(a), Some(b)) => a.same(b),
            _ => false,
        };
        self.kind == other.kind && arguments && entries
    }

    /// In words.
    #[must_use]
    pub fn shown(&self) -> String {
        let argument = self.argument.as_ref().and_then(Argument::shown).unwrap_or_default();
        self.kind.words.replace("{}", &argument)
    }
}

impl Entry {
    /// Whether two entries do the same.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        let functions = match (&self.function, &other.function) {
            (None, None) => true,
            (Some(f), Some(g)) => same_function(f, g),
            _ => false,
        };
        self.words == other.words && self.spans == other.spans && functions
    }

    /// In words.
    #[must_use]
    pub fn shown(&self) -> String {
        match &self.function {
            Some(function) => format!("{} {}", self.words, short(&function.expr)),
            None => self.words.to_owned(),
        }
    }
}
