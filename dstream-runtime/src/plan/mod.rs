//! The plan as constant tables in the binary.
//!
//! Generated code fills them in as `static`s; the runtime only reads them, and computes nothing at start-up.

#[cfg(test)]
pub(crate) mod example;
mod json;
mod layout;
mod quiet;
mod reach;
mod svg;
mod text;
mod words;

pub use json::json;
pub use svg::svg;
pub use text::{lineage, text};
pub(crate) use words::duration;

use crate::id::{BatchSeq, OperatorId, OutputId, SourceId, StageId, TailId};

/// A compiled job.
#[derive(Debug)]
pub struct Plan {
    /// The job's name.
    pub job: &'static str,
    /// The file that defines it.
    pub file: &'static str,
    /// The line of its definition.
    pub line: u32,
    /// The job's documentation, first paragraph.
    pub about: &'static str,
    /// Batch interval in milliseconds.
    pub interval_ms: u64,
    /// Fingerprint of the plan's structure; processes of one cluster must agree on it.
    pub hash: u64,
    /// Operators in order of definition.
    pub operators: &'static [OperatorRow],
    /// Sources in order of definition.
    pub sources: &'static [SourceRow],
    /// Outputs in order of definition.
    pub outputs: &'static [OutputRow],
    /// Stages in topological order.
    pub stages: &'static [StageRow],
    /// The texts of `JOB plan`.
    pub report: Report,
}

/// Renderings of the plan made by the compiler.
#[derive(Debug)]
pub struct Report {
    /// The logical plan after each phase: (phase, text).
    pub phases: &'static [(&'static str, &'static str)],
    /// Graphviz source of the physical plan.
    pub dot: &'static str,
    /// The generated kernels as Rust source, pretty-printed.
    pub code: &'static str,
}

/// One operator of the user's program.
#[derive(Debug)]
pub struct OperatorRow {
    /// Its id.
    pub id: OperatorId,
    /// Its name in the language: `map`, `reduce_by_key`, …
    pub name: &'static str,
    /// The stream it makes, as named by the user (or by the compiler between chained operators).
    pub stream: &'static str,
    /// First line of its call.
    pub line: u32,
    /// Column of its name, from 1.
    pub column: u32,
    /// Last line of its call: a panic from here to the first line is in its closures.
    pub last_line: u32,
    /// File of its call, if not the job's.
    pub file: Option<&'static str>,
    /// Whether it emits nothing in a batch in which nothing reaches it and no window holds anything.
    pub silent: bool,
}

/// One input of the program.
#[derive(Debug)]
pub struct SourceRow {
    /// Its id.
    pub id: SourceId,
    /// The name of its stream.
    pub name: &'static str,
    /// The operator that opens it.
    pub operator: OperatorId,
    /// Whether it is a table: read whole when the job starts.
    pub table: bool,
}

/// One output of the program.
#[derive(Debug)]
pub struct OutputRow {
    /// Its id.
    pub id: OutputId,
    /// Its name: that of its stream, with a number if the stream has several outputs.
    pub name: &'static str,
    /// The operator: `save` or `print`.
    pub operator: OperatorId,
    /// The stage that makes it.
    pub stage: StageId,
    /// The tail of that stage.
    pub tail: TailId,
    /// For `print`: records shown per batch.
    pub print: Option<u32>,
}

/// How many tasks a stage has in one batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tasks {
    /// One per range of the batch's input (never more than there are partitions).
    PerRange(SourceId),
    /// One per partition.
    PerPartition,
    /// One: the stage makes a single result.
    One,
}

/// One stage: a maximal fused chain between shuffles.
#[derive(Debug)]
pub struct StageRow {
    /// Its id.
    pub id: StageId,
    /// The streams computed in it, joined with ` → `.
    pub name: &'static str,
    /// How many tasks it has.
    pub tasks: Tasks,
    /// Its lineage row: what a task needs before it can start.
    pub inputs: &'static [InputRow],
    /// The state that it keeps between batches.
    pub state: Option<StateRow>,
    /// Its tasks run in batches whose number is a multiple of this.
    pub every: u32,
    /// Its tails emit in batches whose number is a multiple of this, itself a multiple of `every`.
    pub emits_every: u32,
    /// The operators fused into it, in order.
    pub operators: &'static [OperatorId],
    /// The destinations of its records.
    pub tails: &'static [TailRow],
}

impl StageRow {
    /// The source that its tasks read, if any.
    #[must_use]
    pub fn source(&self) -> Option<SourceId> {
        match self.tasks {
            Tasks::PerRange(source) => Some(source),
            Tasks::PerPartition | Tasks::One => None,
        }
    }

    /// Whether it has tasks in a batch.
    #[must_use]
    pub fn runs_in(&self, batch: BatchSeq) -> bool {
        batch.0.is_multiple_of(u64::from(self.every.max(1)))
    }

    /// Whether its tails emit in a batch.
    #[must_use]
    pub fn emits_in(&self, batch: BatchSeq) -> bool {
        self.runs_in(batch) && batch.0.is_multiple_of(u64::from(self.emits_every.max(1)))
    }
}

/// One dependency of a stage on tails of earlier stages (several where streams are united).
#[derive(Debug)]
pub struct InputRow {
    /// The tails that it reads, in the order in which blocks are merged.
    pub from: &'static [(StageId, TailId)],
    /// The kind of dependency.
    pub dependency: Dependency,
}

/// How a partition depends on its parents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dependency {
    /// Partition p needs partition p.
    Narrow,
    /// Every partition needs its segment of every parent partition.
    Shuffle,
    /// The one partition needs every parent partition.
    Gather,
}

/// The state of a stage.
#[derive(Debug)]
pub struct StateRow {
    /// The kind of state.
    pub kind: StateKind,
    /// Name of the stream that owns it.
    pub name: &'static str,
    /// What ends the lineage of its partitions.
    pub cut_by: &'static str,
    /// Whether it is a window of a duration, so that its batches must be intervals of time.
    pub timed: bool,
}

/// Kinds of state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateKind {
    /// The previous value of every key.
    PreviousBatch,
    /// The panes of event-time windows: which ones a watermark decides.
    EventPanes {
        /// The length of a window, in milliseconds.
        length_ms: u64,
        /// From the start of one to that of the next, in milliseconds.
        slide_ms: u64,
    },
    /// Open sessions of event time.
    Sessions {
        /// For how long a session waits for its next record, in milliseconds.
        gap_ms: u64,
    },
    /// The records of two streams that others may still meet, by event time.
    EventSides {
        /// How far apart records are that meet, at most, in milliseconds.
        ms: u64,
    },
    /// The greatest times of the splits of sources: what a watermark is made of.
    Watermark,
    /// The same of keys that were touched within a time, in milliseconds. To forget a key emits nothing.
    Expiring {
        /// How long.
        ms: u64,
    },
    /// The state of every key, for whose keys something may be emitted without input.
    Waking {
        /// How long after the last record of a key at most, in milliseconds; at any time if nothing is said.
        ms: Option<u64>,
    },
    /// This many panes (one per batch in which the parent emits), each of that many batches.
    Panes {
        /// Number of panes a full window spans.
        panes: u32,
        /// Batches per pane.
        batches: u32,
    },
}

/// A destination of a stage's records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TailRow {
    /// Combined by key, one segment per partition.
    Combine,
    /// Distributed by key, one segment per partition.
    Partition,
    /// Kept by key in the same partition.
    Keep,
    /// Kept as rows in the same partition.
    Rows,
    /// Folded into one partial value, gathered by one task.
    Partial,
    /// Sent to every partition.
    Broadcast,
    /// Written to an output.
    Output(OutputId),
}

impl Plan {
    /// The row of a stage.
    #[must_use]
    pub fn stage(&self, id: StageId) -> &'static StageRow {
        &self.stages[id.index()]
    }

    /// The operator whose call spans that line, for locating a panic. The last one that begins at or before
    /// the line wins, since chained calls nest.
    #[must_use]
    pub fn operator_at(&self, file: &str, line: u32) -> Option<&'static OperatorRow> {
        self.operators
            .iter()
            .filter(|op| op.file.unwrap_or(self.file) == file)
            .filter(|op| op.line <= line && line <= op.last_line)
            .max_by_key(|op| op.line)
    }
}
