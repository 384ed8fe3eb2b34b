//! Identifiers: newtypes, so that a partition cannot be mistaken for a stage.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident($t:ty) $short:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $t);
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { write!(f, concat!($short, "{}"), self.0) }
        }
        impl $name {
            /// As an index into its table.
            #[must_use]
            pub const fn index(self) -> usize { self.0 as usize }
        }
    )*};
}

ids! {
    /// A stage of the plan: index into [`Plan::stages`](crate::plan::Plan::stages).
    StageId(u16) "stage ";
    /// An operator of the program: index into [`Plan::operators`](crate::plan::Plan::operators).
    OperatorId(u16) "operator ";
    /// A source: index into [`Plan::sources`](crate::plan::Plan::sources).
    SourceId(u16) "source ";
    /// An output: index into [`Plan::outputs`](crate::plan::Plan::outputs).
    OutputId(u16) "output ";
    /// A destination of a stage: index into [`StageRow::tails`](crate::plan::StageRow::tails).
    TailId(u16) "tail ";
    /// A slice of a dataset.
    Partition(u32) "partition ";
    /// A run of a task, from 0.
    Attempt(u32) "attempt ";
    /// A process that runs tasks.
    WorkerId(u32) "worker ";
    /// The position of an entry in the master's journal, from 1.
    JournalSeq(u64) "journal entry ";
    /// The position of a batch in the life of a job, from 1: batch n ends n intervals after the zero time.
    BatchSeq(u64) "batch ";
}

impl WorkerId {
    /// Bits for the workers of one master; the bits above hold its term.
    const JOINS: u32 = 16;

    /// Largest term: later masters could not number their workers.
    pub(crate) const MAX_TERM: u64 = u64::MAX >> (u64::BITS - Self::JOINS);

    /// The first worker of a master of that term. Workers of different terms have different numbers.
    pub(crate) const fn first_of(term: u64) -> Self {
        Self((term as u32) << Self::JOINS)
    }

    /// The term of its master.
    pub(crate) const fn term(self) -> u32 {
        self.0 >> Self::JOINS
    }
}

/// The fencing number: it grows with each new placement and each new master of a job.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Epoch(pub u64);

impl Epoch {
    /// Bits for the placements of one master.
    pub(crate) const CHANGES: u32 = 32;
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 >> Self::CHANGES {
            0 => write!(f, "epoch {}", self.0),
            term => write!(f, "epoch {term}.{}", self.0 & ((1 << Self::CHANGES) - 1)),
        }
    }
}

/// A slice of one stage's work in one batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TaskId {
    /// The batch; first, so that older batches sort first.
    pub batch: BatchSeq,
    /// The stage.
    pub stage: StageId,
    /// The partition.
    pub partition: Partition,
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}, {}", self.stage, self.batch, self.partition)
    }
}

/// The part of a task's output for one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BlockId {
    /// The task that produced it.
    pub producer: TaskId,
    /// The tail of the stage.
    pub tail: TailId,
    /// The partition it is for.
    pub partition: Partition,
}
