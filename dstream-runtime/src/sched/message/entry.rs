//! What a master tells those that come after it.

use serde::{Deserialize, Serialize};

use super::Saved;
use crate::id::{BatchSeq, Epoch, Partition, SourceId, StageId, WorkerId};
use crate::source::receive::RangeSet;
use crate::source::{Position, Range, Reach};

/// Acknowledged records of one receiver that no process holds any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LostRow {
    /// The source.
    pub source: SourceId,
    /// The worker that received them.
    pub receiver: WorkerId,
    /// Its numbers for the blocks.
    pub blocks: RangeSet,
    /// How many records they have.
    pub records: u64,
    /// Whether that is their number; otherwise they have at most as many.
    pub exact: bool,
    /// The first batch that needs one of them.
    pub first: BatchSeq,
    /// The last.
    pub last: BatchSeq,
    /// They were received after this time, in milliseconds since 1970.
    pub since_ms: u64,
}

impl LostRow {
    /// How many records each of its blocks has, if that is known.
    #[must_use]
    pub fn records_each(&self) -> Option<u64> {
        (self.exact && self.records == self.blocks.count()).then_some(1)
    }
}

/// How records are lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Loss {
    /// The processes that held them have ended.
    Certain,
    /// The workers that hold them were waited for in vain, and may come when the job is started again.
    Overdue,
    /// The job goes on without them, as it was told.
    Accepted,
}

/// What becomes known of workers that may hold what clients have sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum HolderChange {
    /// A worker is about to join: from here on it may hold something.
    Comes {
        /// Its name.
        name: String,
        /// It runs in the master's own process, and ends with it.
        inside: bool,
    },
    /// The worker of that name does not come again with what it held, or was waited for in vain and nothing is missed.
    Gone {
        /// Its name.
        name: String,
    },
    /// The workers that are named are all that may come.
    NoOthers,
}

/// What the master writes down, in order; [`Past`](crate::sched::Past) is what a later master reads out of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum JournalEntry {
    /// A job begins: the first entry of all.
    Start {
        /// The zero time.
        zero_ms: u64,
        /// The batch interval.
        interval_ms: u64,
        /// Number of partitions.
        partitions: u32,
        /// The first batch.
        first: BatchSeq,
        /// The states, by groups that are saved together.
        groups: Vec<Vec<(StageId, Partition)>>,
    },
    /// The input of a batch.
    Cut {
        /// The epoch.
        epoch: Epoch,
        /// The batch.
        batch: BatchSeq,
        /// Per source, per input: the ranges it consists of.
        inputs: Vec<Vec<Vec<Range>>>,
        /// Per source from where the next cut goes on; none of one that was not cut yet, or cannot go on.
        positions: Vec<Option<Position>>,
        /// Per source how far it has come.
        reach: Vec<Reach>,
    },
    /// Every task of a batch has run: it will be published.
    Commit {
        /// The epoch.
        epoch: Epoch,
        /// The batch.
        batch: BatchSeq,
    },
    /// A batch is visible at all outputs. Nothing waits for this: what is published twice is the same.
    Published {
        /// The batch.
        batch: BatchSeq,
    },
    /// A group of states was saved, and from here on counts in place of what was saved before.
    Saved {
        /// The states.
        states: Vec<Saved>,
    },
    /// All sources have ended by themselves, and all of it is visible: there is nothing to go on with.
    Finished,
    /// The job is to stop: what was received is processed, and nothing more is taken in.
    Stop,
    /// A stop is complete: no master takes the job over. A start of the job goes on with it.
    Stopped,
    /// A job that was stopped, or was stopping, was started again.
    GoOn,
    /// Acknowledged records are lost.
    Lost {
        /// Which.
        rows: Vec<LostRow>,
        /// How. Unless that was accepted, the job ends.
        how: Loss,
    },
    /// Intervals without a batch, in which nothing happened: from this batch on, which is the next one to be cut,
    /// the zero time is a later one.
    Gap {
        /// The batch.
        first: BatchSeq,
        /// The zero time.
        zero_ms: u64,
    },
    /// What becomes known of workers that may hold what clients have sent.
    Holder(HolderChange),
}
