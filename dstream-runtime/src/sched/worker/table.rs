//! What a worker knows about one batch: per stage, dense vectors by partition.
//!
//! Invariant: once a batch has begun, the number a task misses is that of the producers, and of the
//! previous state, that its lineage row names and that have not been heard of.

use std::sync::Arc;

use crate::id::{Attempt, BatchSeq, Epoch, Partition, SourceId, TailId};
use crate::plan::StageRow;
use crate::sched::bits::Bits;
use crate::sched::message::TaskInput;
use crate::sched::shape::Shape;
use crate::source::Range;
use crate::time::BatchTime;

/// The life of one task on the worker that owns its partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// The batch has not begun, or has no such task, or it is another worker's.
    Absent,
    /// It misses that many of its inputs.
    Waiting(u32),
    /// It was handed to the driver.
    Running(Attempt),
    /// It failed; the master decides.
    Failed(Attempt),
    /// It has run.
    Done,
}

/// One stage in one batch.
#[derive(Debug, Default)]
pub(super) struct StageTable {
    /// How many tasks it has; 0 until the batch has begun.
    pub(super) tasks: u32,
    /// Its tasks, by partition.
    pub(super) phases: Vec<Phase>,
    /// The tasks, anybody's, that are known to have run.
    pub(super) heard: Bits,
    /// Producers of shuffles and gathers into this stage that have not been heard of.
    pub(super) wide_missing: u32,
    /// This worker's tasks of other stages that read this one and have not run.
    pub(super) readers_left: u32,
    /// Per tail and partition it is for: the partitions that made a block.
    segments: Vec<Vec<Vec<Partition>>>,
}

/// One batch.
#[derive(Debug, Default)]
pub(super) struct BatchTable {
    pub(super) batch: BatchSeq,
    /// Its time, once it has begun.
    pub(super) begun: Option<BatchTime>,
    /// Its epoch, and this worker's partitions in it, once it has begun.
    pub(super) epoch: Epoch,
    pub(super) mine: Arc<[u32]>,
    /// What this worker's tasks read, by source and partition.
    inputs: Vec<TaskInput>,
    pub(super) stages: Vec<StageTable>,
}

impl BatchTable {
    /// Makes it the table of a batch that nothing is known of, keeping its memory.
    pub(super) fn reset(&mut self, shape: &Shape, batch: BatchSeq) {
        self.batch = batch;
        self.begun = None;
        self.inputs.clear();
        self.stages.resize_with(shape.plan.stages.len(), StageTable::default);
        for (table, row) in self.stages.iter_mut().zip(shape.plan.stages) {
            table.reset(row, shape.width(row) as usize, shape.partitions as usize);
        }
    }

    pub(super) fn begin(
        &mut self,
        epoch: Epoch,
        time: BatchTime,
        mine: Arc<[u32]>,
        mut inputs: Vec<TaskInput>,
    ) {
        inputs.sort_by_key(|input| (input.source, input.partition));
        (self.begun, self.epoch) = (Some(time), epoch);
        (self.mine, self.inputs) = (mine, inputs);
    }

    /// What the task of a partition reads from a source.
    pub(super) fn ranges(&self, source: SourceId, partition: Partition) -> Vec<Range> {
        let key = |input: &TaskInput| (input.source, input.partition);
        let found = self.inputs.binary_search_by_key(&(source, partition), key);
        found.map_or_else(|_| Vec::new(), |at| self.inputs[at].ranges.clone())
    }
}

impl StageTable {
    fn reset(&mut self, row: &StageRow, width: usize, partitions: usize) {
        (self.tasks, self.wide_missing, self.readers_left) = (0, 0, 0);
        self.phases.clear();
        self.phases.resize(width, Phase::Absent);
        self.heard.reset(width);
        self.segments.resize_with(row.tails.len(), Vec::new);
        for tail in &mut self.segments {
            tail.resize_with(partitions, Vec::new);
            tail.iter_mut().for_each(Vec::clear);
        }
    }

    /// Notes the blocks that a task made. Those that name no tail or partition are ignored, and so
    /// are doubled ones.
    pub(super) fn note(&mut self, producer: Partition, blocks: &[(TailId, Partition)]) {
        for (tail, partition) in blocks {
            let tail = self.segments.get_mut(tail.index());
            if let Some(segments) = tail.and_then(|tail| tail.get_mut(partition.index()))
                && segments.last() != Some(&producer)
            {
                segments.push(producer);
            }
        }
    }

    /// The producers of the blocks of a tail for a partition, in order.
    pub(super) fn producers(&mut self, tail: TailId, partition: Partition) -> &[Partition] {
        let tail = self.segments.get_mut(tail.index());
        match tail.and_then(|tail| tail.get_mut(partition.index())) {
            Some(segments) => {
                segments.sort_unstable();
                segments
            }
            None => &[],
        }
    }
}
