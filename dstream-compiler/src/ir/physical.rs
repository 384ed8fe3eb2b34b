//! The physical plan: stages, what flows between them, and the lineage row of each.
//!
//! Invariants: stages are in topological order; every tail of a stage is in exactly one place of its
//! body; every dependency is used by at least one head.

use proc_macro2::Span;
use syn::Expr;

use super::logical::{Function, Header, ParamLet, SourceFormat};
use syn::Type;

/// A job, planned.
#[derive(Debug, Clone)]
pub struct Physical {
    /// Name, documentation, interval, parameters.
    pub header: Header,
    /// Plain `let`s of parameters.
    pub lets: Vec<ParamLet>,
    /// The user's operators in order of definition.
    pub operators: Vec<Operator>,
    /// Sources in order of definition.
    pub sources: Vec<Source>,
    /// Outputs in order of definition.
    pub outputs: Vec<Output>,
    /// What flows between stages.
    pub flows: Vec<Flow>,
    /// Stages in topological order.
    pub stages: Vec<Stage>,
    /// Fingerprint of the plan's structure (never of spans or of token text).
    pub hash: u64,
    /// (name of phase, plan as text) after each phase, for `JOB plan`.
    pub phases: Vec<(&'static str, String)>,
    /// Graphviz source.
    pub dot: String,
}

/// A row of the operator table.
#[derive(Debug, Clone)]
pub struct Operator {
    /// Its name in the language.
    pub name: &'static str,
    /// The stream it makes.
    pub stream: String,
    /// Its name as written.
    pub at: Span,
    /// The whole call.
    pub whole: Span,
}

/// A source.
#[derive(Debug, Clone)]
pub struct Source {
    /// Name of its stream.
    pub name: String,
    /// Index of its operator.
    pub operator: usize,
    /// How its records are written.
    pub format: SourceFormat,
    /// Their type; none for text.
    pub record: Option<Type>,
    /// Where it reads.
    pub url: Expr,
}

/// An output.
#[derive(Debug, Clone)]
pub struct Output {
    /// Its name: the stream's, with `_2`, `_3` … for further outputs of the same stream.
    pub name: String,
    /// Index of its operator.
    pub operator: usize,
    /// Where it writes; `None` for `print`.
    pub url: Option<Expr>,
    /// For `print`: how many records.
    pub print: Option<u32>,
    /// The stage that makes it.
    pub stage: usize,
    /// Its tail there.
    pub tail: usize,
}

/// What flows from tails of some stages to the heads of others.
#[derive(Debug, Clone)]
pub struct Flow {
    /// In what form.
    pub kind: FlowKind,
    /// (stage, tail), several where streams are united; in order of merging.
    pub from: Vec<(usize, usize)>,
}

/// The forms in which records flow between stages.
#[derive(Debug, Clone)]
pub enum FlowKind {
    /// Combined by key with the function, shuffled.
    Combined(Function),
    /// By key, shuffled.
    Keyed,
    /// By key, in the same partition (the key has not changed since the last shuffle).
    KeyedOwn,
    /// Rows in the same partition.
    Rows,
    /// Partial values, gathered, reduced with the function.
    Fold(Function),
    /// Partial counts, gathered.
    Tally,
    /// The best of each partition, gathered; how many are kept.
    Top(Expr),
}

/// A stage.
#[derive(Debug, Clone)]
pub struct Stage {
    /// What it reads.
    pub head: Head,
    /// The stream that its head makes.
    pub stream: String,
    /// Index of the operator that the head implements.
    pub operator: usize,
    /// What is done with each record of that stream, in order of definition.
    pub body: Vec<Use>,
    /// Where records go.
    pub tails: Vec<TailKind>,
    /// How many tasks it has.
    pub tasks: Tasks,
    /// What it keeps.
    pub state: Option<State>,
    /// It has tasks every so many batches.
    pub every: u64,
    /// It emits every so many batches.
    pub emits_every: u64,
    /// Indices of all operators fused into it, in order.
    pub operators: Vec<usize>,
}

/// What a stage reads; numbers are indices of flows.
#[derive(Debug, Clone)]
pub enum Head {
    /// A source, by index.
    Source(usize),
    /// Merges by key. The function is that of the flow if it is combined, else it is given here.
    Merge {
        /// What it reads.
        flow: usize,
        /// How values of a key are merged.
        merge: Function,
    },
    /// Merges by key, then with the state.
    Running {
        /// What it reads.
        flow: usize,
        /// How values of a key are merged.
        merge: Function,
    },
    /// Rows as they are.
    Rows {
        /// What it reads.
        flow: usize,
    },
    /// The rows of the last `length` batches.
    Window {
        /// What it reads.
        flow: usize,
        /// How many batches.
        length: u64,
    },
    /// Reduces the last `length` batches by key; the flow's keys are unique per batch and partition.
    WindowReduce {
        /// What it reads.
        flow: usize,
        /// How values of a key are merged.
        merge: Function,
        /// How a value that leaves is taken out.
        inverse: Option<Function>,
        /// How many batches.
        length: u64,
    },
    /// Joins two flows by key.
    Join {
        /// The left one.
        left: usize,
        /// The right one.
        right: usize,
    },
    /// The reduction of partial values.
    Reduce {
        /// What it reads.
        flow: usize,
        /// How values of a key are merged.
        merge: Function,
    },
    /// The sum of partial counts.
    Count {
        /// What it reads.
        flow: usize,
    },
    /// The best of the partial best.
    Top {
        /// What it reads.
        flow: usize,
    },
}

impl Head {
    /// The flows that it reads, in order.
    #[must_use]
    pub fn flows(&self) -> Vec<usize> {
        match self {
            Self::Source(_) => Vec::new(),
            Self::Merge { flow, .. }
            | Self::Running { flow, .. }
            | Self::Rows { flow }
            | Self::Window { flow, .. }
            | Self::WindowReduce { flow, .. }
            | Self::Reduce { flow, .. }
            | Self::Count { flow }
            | Self::Top { flow } => vec![*flow],
            Self::Join { left, right } => vec![*left, *right],
        }
    }
}

/// What is done with a record.
#[derive(Debug, Clone)]
pub enum Use {
    /// An operator makes records of another stream from it.
    Step {
        /// What it does.
        step: Step,
        /// The stream it makes.
        stream: String,
        /// Index of the operator.
        operator: usize,
        /// What is done with its records.
        body: Vec<Use>,
    },
    /// It leaves by a tail.
    Tail(usize),
    /// It leaves by a `Top` tail with this score.
    Score {
        /// The tail.
        tail: usize,
        /// The score.
        score: Function,
    },
}

/// Narrow operators.
#[derive(Debug, Clone)]
pub enum Step {
    /// One record for each.
    Map(Function),
    /// Those for which it holds.
    Filter(Function),
    /// One record or none.
    FilterMap(Function),
    /// Any number.
    FlatMap(Function),
    /// Another value for the same key.
    MapValues(Function),
    /// A key for each record.
    KeyBy(Function),
}

/// Where records leave a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TailKind {
    /// Into a `Combined` flow.
    Combine,
    /// Into a `Keyed` flow.
    Spread,
    /// Into a `KeyedOwn` flow.
    SpreadOwn,
    /// Into a `Rows` flow.
    Rows,
    /// Into a `Fold` flow.
    Fold,
    /// Into a `Tally` flow.
    Tally,
    /// Into a `Top` flow.
    Top,
    /// Into an output, by index.
    Output(usize),
}

/// How many tasks a stage has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tasks {
    /// One per range of that source.
    PerRange(usize),
    /// One per partition.
    PerPartition,
    /// One.
    One,
}

/// What a stage keeps from batch to batch.
#[derive(Debug, Clone)]
pub struct State {
    /// What kind.
    pub kind: StateKind,
    /// What ends the lineage of its partitions.
    pub cut_by: &'static str,
}

/// Kinds of state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateKind {
    /// The value of every key.
    PreviousBatch,
    /// The panes of a window.
    Panes {
        /// How many panes a full window spans.
        panes: u64,
        /// How many batches one pane is.
        batches: u64,
    },
}
