//! The physical plan: stages, what flows between them, and the lineage row of each.
//!
//! Invariants: stages are in topological order; every tail of a stage is in exactly one place of its
//! body; every dependency is used by at least one head.

use proc_macro2::Span;

use super::flow::{Form, Kind};
use super::logical::{Header, ParamLet};
use crate::op::{Arguments, Begin, EmitStep, Entry, Operator, Sink};
use crate::pass::times::Time;

/// A job, planned.
#[derive(Debug, Clone)]
pub struct Physical {
    /// Name, documentation, interval, parameters.
    pub header: Header,
    /// Plain `let`s of parameters.
    pub lets: Vec<ParamLet>,
    /// The user's operators in order of definition.
    pub operators: Vec<Row>,
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
pub struct Row {
    /// What it does.
    pub operator: &'static Operator,
    /// The stream it makes.
    pub stream: String,
    /// What is known of the times of the records that it is given.
    pub given: Time,
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
    /// Whether it is a table.
    pub table: bool,
}

/// An output.
#[derive(Debug, Clone)]
pub struct Output {
    /// Its name: the stream's, with `_2`, `_3` … for further outputs of the same stream.
    pub name: String,
    /// Index of its operator.
    pub operator: usize,
    /// Where it writes.
    pub sink: Sink,
    /// Whether its records have windows, which are written with them.
    pub windows: bool,
    /// The stage that makes it.
    pub stage: usize,
    /// Its tail there.
    pub tail: usize,
}

/// What flows from tails of some stages to the heads of others.
#[derive(Debug, Clone)]
pub struct Flow {
    /// In what form.
    pub form: Form,
    /// (stage, tail), several where streams are united; in order of merging.
    pub from: Vec<(usize, usize)>,
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
    /// Batches from one task to the next.
    pub every: u64,
    /// Batches from one emission to the next.
    pub emits_every: u64,
    /// Indices of all operators fused into it, in order.
    pub operators: Vec<usize>,
}

/// What a stage reads.
#[derive(Debug, Clone)]
pub struct Head {
    /// How the operator begins a stage.
    pub begin: &'static Begin,
    /// The operator's arguments.
    pub arguments: Arguments,
    /// The flows that it reads, by index, in order.
    pub flows: Vec<usize>,
    /// The source that it reads, by index.
    pub source: Option<usize>,
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
    Tail {
        /// The tail.
        tail: usize,
        /// What is done with it before.
        entry: Option<Entry>,
    },
}

/// An operator that is fused into the stage of its parent.
#[derive(Debug, Clone)]
pub struct Step {
    /// Which.
    pub operator: &'static Operator,
    /// Its arguments.
    pub arguments: Arguments,
    /// Its code.
    pub emit: EmitStep,
}

/// Where records leave a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TailKind {
    /// Into a flow of that kind.
    Flow(&'static Kind),
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
    /// Whether it is a window of a duration.
    pub timed: bool,
}

/// Kinds of state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateKind {
    /// The value of every key.
    PreviousBatch,
    /// The value of every key that was touched within a time, in milliseconds.
    Expiring(u64),
    /// The state of every key, for which something may be emitted without input: for that many milliseconds, or at any
    /// time.
    Waking(Option<u64>),
    /// The panes of a window.
    Panes {
        /// How many panes a full window spans.
        panes: u64,
        /// How many batches one pane is.
        batches: u64,
    },
    /// The panes of open event-time windows.
    EventPanes {
        /// The length of a window, in milliseconds.
        length: u64,
        /// From the start of one to that of the next, in milliseconds.
        slide: u64,
    },
    /// Open sessions, which end that many milliseconds after their last record.
    Sessions(u64),
    /// The records of two streams that others may still meet by event time: how far apart, in milliseconds.
    EventSides(u64),
    /// The greatest times of splits.
    Watermark,
}
