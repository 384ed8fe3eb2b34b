//! What a worker knows about one batch: per stage, dense vectors by partition.
//!
//! Invariant: once a batch has begun, the number a task misses is that of the producers, and of the
//! previous state, that its lineage row names and that have not been heard of.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::bits::Bits;
use crate::id::{Attempt, BatchSeq, Epoch, Partition, SourceId, TailId, WorkerId};
use crate::plan::StageRow;
use crate::sched::message::TaskInput;
use crate::sched::shape::Shape;
use crate::source::{Range, Reach};
use crate::time::BatchTime;

/// The life of one task on the worker that owns its partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// The batch has not begun, or has no such task, or it is another worker's.
    Absent,
    /// It has run on a worker that was lost, and no task here or elsewhere needs it again so far.
    Idle,
    /// It misses that many of its inputs.
    Waiting(u32),
    /// It was handed to the driver.
    Running(Attempt),
    /// It was handed to the driver, and then another worker's run of it came first.
    Outrun(Attempt),
    /// Another worker's run of it came first, and this one did not end.
    Dropped(Attempt),
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
    /// This worker's tasks of other stages that read this one and have not run.
    pub(super) readers_left: u32,
    /// Per tail and partition it is for: the partitions that made a block.
    segments: Vec<Vec<Vec<Partition>>>,
    /// What the tasks here made, by partition, to be sent again.
    pub(super) made: BTreeMap<u32, Vec<(TailId, Partition)>>,
    /// Who has asked for what tasks here will make.
    pub(super) wanted: BTreeMap<u32, BTreeSet<WorkerId>>,
}

/// Some partitions of this worker in one batch: those that it was given when the batch began, or with one
/// recovery. What others made counts for each part by itself.
#[derive(Debug, Default)]
pub(super) struct Part {
    /// What was said before counts for other partitions only.
    pub(super) since: Epoch,
    /// The partitions.
    pub(super) mine: Arc<[u32]>,
    /// Every owner tells it what it made, without being asked.
    pub(super) is_told: bool,
    /// By stage.
    pub(super) stages: Vec<PartStage>,
}

/// What one part knows of one stage.
#[derive(Debug, Default)]
pub(super) struct PartStage {
    /// The tasks, of any worker, that are known to have run.
    pub(super) heard: Bits,
    /// Producers of shuffles and gathers into this stage that have not been heard of.
    pub(super) wide_missing: u32,
    /// They were asked for.
    pub(super) asked: bool,
}

/// One batch.
#[derive(Debug, Default)]
pub(super) struct BatchTable {
    pub(super) batch: BatchSeq,
    /// Its time and how far each source has come with it, once it has begun.
    pub(super) begun: Option<(BatchTime, Arc<[Reach]>)>,
    /// What this worker's tasks read, by source and partition.
    inputs: Vec<TaskInput>,
    pub(super) stages: Vec<StageTable>,
    /// Never empty: the first part is that of the beginning.
    pub(super) parts: Vec<Part>,
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
        self.parts.truncate(1);
        self.parts.resize_with(1, Part::default);
        self.parts[0].reset(shape, Epoch(0), Arc::default(), true);
    }

    pub(super) fn begin(
        &mut self,
        epoch: Epoch,
        begun: (BatchTime, Arc<[Reach]>),
        mine: Arc<[u32]>,
        mut inputs: Vec<TaskInput>,
    ) {
        inputs.sort_by_key(|input| (input.source, input.partition));
        (self.begun, self.inputs) = (Some(begun), inputs);
        (self.parts[0].since, self.parts[0].mine) = (epoch, mine);
    }

    /// Adds what tasks of further partitions read.
    pub(super) fn add_inputs(&mut self, inputs: Vec<TaskInput>) {
        self.inputs.extend(inputs);
        self.inputs.sort_by_key(|input| (input.source, input.partition));
        self.inputs.dedup_by_key(|input| (input.source, input.partition));
    }

    /// The part that a partition of this worker belongs to.
    pub(super) fn part_of(&self, partition: u32) -> usize {
        match self.parts.len() {
            1 => 0,
            _ => self.parts.iter().rposition(|part| part.has(partition)).unwrap_or(0),
        }
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
        (self.tasks, self.readers_left) = (0, 0);
        self.made.clear();
        self.wanted.clear();
        self.phases.clear();
        self.phases.resize(width, Phase::Absent);
        self.segments.resize_with(row.tails.len(), Vec::new);
        for tail in &mut self.segments {
            tail.resize_with(partitions, Vec::new);
            tail.iter_mut().for_each(Vec::clear);
        }
    }

    /// Forgets everything about the tasks of a partition.
    pub(super) fn clear(&mut self, partition: u32) {
        for tail in &mut self.segments {
            if let Some(segments) = tail.get_mut(partition as usize) {
                segments.clear();
            }
        }
        self.made.remove(&partition);
        self.wanted.remove(&partition);
    }

    /// Notes the blocks that a task made, for some partitions if not for all. Those that name no tail or
    /// partition are ignored, and so are doubled ones.
    pub(super) fn note(
        &mut self,
        producer: Partition,
        blocks: &[(TailId, Partition)],
        only: Option<&[u32]>,
    ) {
        for (tail, partition) in blocks {
            if only.is_some_and(|only| only.binary_search(&partition.0).is_err()) {
                continue;
            }
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

impl Part {
    /// Makes it a part that has heard of nothing.
    pub(super) fn reset(&mut self, shape: &Shape, since: Epoch, mine: Arc<[u32]>, is_told: bool) {
        (self.since, self.mine, self.is_told) = (since, mine, is_told);
        self.stages.resize_with(shape.plan.stages.len(), PartStage::default);
        for (stage, row) in self.stages.iter_mut().zip(shape.plan.stages) {
            stage.heard.reset(shape.width(row) as usize);
            (stage.wide_missing, stage.asked) = (0, false);
        }
    }

    /// Whether a partition belongs to it.
    pub(super) fn has(&self, partition: u32) -> bool {
        self.mine.binary_search(&partition).is_ok()
    }
}
