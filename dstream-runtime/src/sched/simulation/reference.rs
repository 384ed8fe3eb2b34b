//! The results of all tasks of a job, from the plan and its inputs alone: in order, without workers.
//!
//! A result is a hash of all its inputs, so a task that ran on a wrong state or block differs from the one
//! here, as does everything after it.

use std::collections::BTreeMap;

use crate::id::*;
use crate::plan::{Dependency, Plan, TailRow, Tasks};
use crate::source::Range;

pub(super) type State = (StageId, Partition);

/// A job with known inputs.
pub(super) struct Reference {
    pub(super) plan: &'static Plan,
    pub(super) partitions: u32,
    seed: u64,
    /// Inputs by batch and source.
    inputs: BTreeMap<(BatchSeq, SourceId), Vec<Vec<Range>>>,
    /// Results of all tasks so far.
    pub(super) results: BTreeMap<TaskId, u64>,
    /// The states after each batch.
    pub(super) states: BTreeMap<(BatchSeq, State), u64>,
    done: BatchSeq,
}

/// Hashes numbers, in order.
pub(crate) fn hash(numbers: &[u64]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    for number in numbers {
        hash = (hash ^ number).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        hash ^= hash >> 29;
    }
    hash
}

fn key(task: TaskId) -> u64 {
    hash(&[task.batch.0, u64::from(task.stage.0), u64::from(task.partition.0)])
}

/// The content of a block.
pub(super) fn content(block: BlockId, result: u64) -> u64 {
    hash(&[result, u64::from(block.tail.0), u64::from(block.partition.0)])
}

/// The result of a task for its inputs.
pub(super) fn result(
    task: TaskId,
    state: u64,
    inputs: &[Vec<(BlockId, u64)>],
    ranges: &[Range],
) -> u64 {
    let mut numbers = vec![key(task), state];
    for (index, input) in inputs.iter().enumerate() {
        for (block, content) in input {
            numbers.extend([index as u64, key(block.producer), u64::from(block.tail.0), *content]);
        }
    }
    numbers.extend(ranges.iter().flat_map(|range| [range.start, range.end]));
    hash(&numbers)
}

/// Whether a task makes part of an output.
pub(super) fn has_output(plan: &Plan, task: TaskId) -> bool {
    plan.stage(task.stage).tails.iter().any(|tail| matches!(tail, TailRow::Output(_)))
}

impl Reference {
    pub(super) fn new(plan: &'static Plan, partitions: u32, first: BatchSeq, seed: u64) -> Self {
        let done = BatchSeq(first.0 - 1);
        let (results, states) = (BTreeMap::new(), BTreeMap::new());
        Self { plan, partitions, seed, inputs: BTreeMap::new(), results, states, done }
    }

    /// Records the cut of a source. All sources are cut before results of the batch are asked for.
    pub(super) fn cut(&mut self, batch: BatchSeq, source: SourceId, inputs: Vec<Vec<Range>>) {
        self.inputs.insert((batch, source), inputs);
    }

    /// The inputs of all sources for a batch.
    pub(super) fn inputs(&self, batch: BatchSeq) -> Vec<Vec<Vec<Range>>> {
        let sources = (0..self.plan.sources.len() as u16).map(SourceId);
        sources.map(|s| self.inputs.get(&(batch, s)).cloned().unwrap_or_default()).collect()
    }

    fn ranges(&self, task: TaskId, source: SourceId) -> &[Range] {
        let inputs = self.inputs.get(&(task.batch, source));
        inputs.and_then(|inputs| inputs.get(task.partition.index())).map_or(&[], Vec::as_slice)
    }

    pub(super) fn tasks(&self, batch: BatchSeq, stage: StageId) -> u32 {
        let row = self.plan.stage(stage);
        if !batch.0.is_multiple_of(u64::from(row.every)) {
            return 0;
        }
        match row.tasks {
            Tasks::PerRange(source) => {
                self.inputs.get(&(batch, source)).map_or(0, |inputs| inputs.len() as u32)
            }
            Tasks::PerPartition => self.partitions,
            Tasks::One => 1,
        }
    }

    /// The blocks that a task makes.
    pub(super) fn blocks(&self, task: TaskId) -> Vec<(TailId, Partition)> {
        let mut blocks = Vec::new();
        for (tail, row) in (0..).map(TailId).zip(self.plan.stage(task.stage).tails) {
            let targets = match row {
                TailRow::Combine | TailRow::Partition | TailRow::Broadcast => 0..self.partitions,
                TailRow::Keep | TailRow::Rows => task.partition.0..task.partition.0 + 1,
                TailRow::Partial => 0..1,
                TailRow::Output(_) => 0..0,
            };
            let made = |to: &u32| {
                let numbers = [self.seed, key(task), u64::from(tail.0), u64::from(*to)];
                !hash(&numbers).is_multiple_of(4)
            };
            blocks.extend(targets.filter(made).map(|to| (tail, Partition(to))));
        }
        blocks
    }

    /// Computes all batches up to one.
    pub(super) fn up_to(&mut self, batch: BatchSeq) {
        while self.done < batch {
            self.done.0 += 1;
            for row in self.plan.stages {
                for partition in (0..self.tasks(self.done, row.id)).map(Partition) {
                    self.make(TaskId { batch: self.done, stage: row.id, partition });
                }
            }
            self.leave_states(self.done);
        }
    }

    fn make(&mut self, task: TaskId) {
        let row = self.plan.stage(task.stage);
        let mut inputs = Vec::new();
        for input in row.inputs {
            let mut blocks = Vec::new();
            for (from, tail) in input.from {
                for producer in (0..self.tasks(task.batch, *from)).map(Partition) {
                    if input.dependency == Dependency::Narrow && producer != task.partition {
                        continue;
                    }
                    let producer = TaskId { stage: *from, partition: producer, ..task };
                    if self.blocks(producer).contains(&(*tail, task.partition)) {
                        let block = BlockId { producer, tail: *tail, partition: task.partition };
                        blocks.push((block, content(block, self.results[&producer])));
                    }
                }
            }
            inputs.push(blocks);
        }
        let ranges = match row.tasks {
            Tasks::PerRange(source) => self.ranges(task, source),
            _ => &[],
        };
        let state = self.state(BatchSeq(task.batch.0 - 1), (task.stage, task.partition));
        let result = result(task, state, &inputs, ranges);
        self.results.insert(task, result);
    }

    fn leave_states(&mut self, batch: BatchSeq) {
        for row in self.plan.stages.iter().filter(|row| row.state.is_some()) {
            for partition in (0..self.partitions).map(Partition) {
                let task = TaskId { batch, stage: row.id, partition };
                let before = self.state(BatchSeq(batch.0 - 1), (row.id, partition));
                let after = self.results.get(&task).copied().unwrap_or(before);
                self.states.insert((batch, (row.id, partition)), after);
            }
        }
    }

    /// The number of states.
    pub(super) fn states_there(&self) -> usize {
        let stages = self.plan.stages.iter().filter(|row| row.state.is_some());
        stages.count() * self.partitions as usize
    }

    /// A state after a batch: the result of its last task; 0 initially.
    pub(super) fn state(&self, after: BatchSeq, state: State) -> u64 {
        self.states.get(&(after, state)).copied().unwrap_or(0)
    }
}
