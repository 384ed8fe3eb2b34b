//! The logical plan: one node per operator of the user's program.
//!
//! Edges run from parent to child; the weight is the child's input port (0, or 1 for the right side
//! of a join and the second stream of a union).

use petgraph::stable_graph::StableDiGraph;
use proc_macro2::Span;
use syn::{Attribute, Expr, Ident, Stmt, Type, Visibility};

/// A job, parsed.
#[derive(Debug, Clone)]
pub struct Job {
    /// Name, documentation, visibility, interval, parameters.
    pub header: Header,
    /// Plain `let`s of parameters, in order.
    pub lets: Vec<ParamLet>,
    /// Operators and how they feed each other. Nodes are added in order of definition.
    pub graph: StableDiGraph<Node, u8>,
}

/// What stands above the body of a job.
#[derive(Debug, Clone)]
pub struct Header {
    /// The function's name.
    pub name: Ident,
    /// Its visibility.
    pub visibility: Visibility,
    /// Documentation and `cfg` attributes, kept on what is generated.
    pub attributes: Vec<Attribute>,
    /// Batch interval in milliseconds.
    pub interval_ms: u64,
    /// Name and type (without the `&`) of the parameters.
    pub params: Option<(Ident, Type)>,
}

/// `let pattern = Pattern::new(&params.pattern);`: evaluated once per process, cloned into the kernels
/// that use it.
#[derive(Debug, Clone)]
pub struct ParamLet {
    /// The name it binds.
    pub name: Ident,
    /// The statement as written.
    pub statement: Stmt,
}

/// One operator.
#[derive(Debug, Clone)]
pub struct Node {
    /// What it does.
    pub op: Op,
    /// Name of the stream it makes: its `let` binding, or one derived from its parent's and its own.
    pub stream: String,
    /// Whether the user gave the name.
    pub named: bool,
    /// The operator's name as written, for spans and rows of the plan.
    pub at: Span,
    /// The whole call, for the last line of the operator's row.
    pub whole: Span,
    /// Operators of the user that turned out to compute the same and were merged into this one.
    pub merged: Vec<Merged>,
    /// Whether the compiler put it there: it is no call of the user's.
    pub synthetic: bool,
}

/// An operator that was merged into an equal one: its stream keeps its name and its row.
#[derive(Debug, Clone)]
pub struct Merged {
    /// Name of the stream it made.
    pub stream: String,
    /// Whether the user gave the name.
    pub named: bool,
    /// The operator's name as written.
    pub at: Span,
    /// The whole call.
    pub whole: Span,
}

/// A user's function: a closure or a path to a function.
#[derive(Debug, Clone)]
pub struct Function {
    /// The expression as written, without an outer `move` (it is called where it stands).
    pub expr: Expr,
    /// Whether the user allowed it to be non-deterministic: then it is never merged with another.
    pub nondeterministic: bool,
}

/// How a source's records are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceFormat {
    /// `source::text`
    Text,
    /// `source::csv::<T>`
    Csv,
    /// `source::json::<T>`
    Json,
}

/// What an operator does.
#[derive(Debug, Clone)]
pub enum Op {
    /// An input.
    Source {
        /// How its records are written.
        format: SourceFormat,
        /// Their type; none for text.
        record: Option<Type>,
        /// Where it reads.
        url: Expr,
    },
    /// One record for each.
    Map(Function),
    /// Those for which it holds.
    Filter(Function),
    /// One record or none for each.
    FilterMap(Function),
    /// Any number of records for each.
    FlatMap(Function),
    /// Another value for the same key.
    MapValues(Function),
    /// A key for each record.
    KeyBy(Function),
    /// Both streams.
    Union,
    /// One record per batch.
    Reduce(Function),
    /// The number of records per batch.
    Count,
    /// One record per key and batch.
    ReduceByKey(Function),
    /// Pairs of records with the same key.
    Join,
    /// The reduction by key over all batches so far.
    RunningReduce(Function),
    /// The records of the last batches.
    Window {
        /// Length in batches.
        length: u64,
        /// Slide in batches.
        slide: u64,
    },
    /// One record per key and window.
    ReduceByKeyAndWindow {
        /// Merges.
        merge: Function,
        /// Takes out what leaves.
        inverse: Option<Function>,
        /// Length in batches.
        length: u64,
        /// Slide in batches.
        slide: u64,
    },
    /// The records with the greatest scores.
    TopK {
        /// How many.
        k: Expr,
        /// The score.
        score: Function,
    },
    /// Output to a sink.
    Save {
        /// Where it writes.
        url: Expr,
    },
    /// Output of the first records of each batch to the terminal.
    Print {
        /// How many; 10 if not said.
        count: Option<u32>,
    },
}
