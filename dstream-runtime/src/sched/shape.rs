//! The plan seen from the scheduler: how many tasks a stage has in a batch, and who reads what it
//! makes. Made once from the constant tables; never changes.

use crate::id::{BatchSeq, StageId, TaskId};
use crate::plan::{Dependency, Plan, StageRow, Tasks};

/// A plan for a number of partitions.
#[derive(Debug)]
pub(crate) struct Shape {
    pub(crate) plan: &'static Plan,
    pub(crate) partitions: u32,
    stages: Vec<StageShape>,
    slots: usize,
}

#[derive(Debug)]
struct StageShape {
    /// Number of its first task among all that a batch can have.
    first_slot: usize,
    readers: Vec<Reader>,
}

/// One use of a stage's tail by a later stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reader {
    pub(crate) stage: StageId,
    pub(crate) dependency: Dependency,
}

impl Shape {
    pub(crate) fn new(plan: &'static Plan, partitions: u32) -> Self {
        let partitions = partitions.max(1);
        let (mut stages, mut slots) = (Vec::with_capacity(plan.stages.len()), 0);
        for row in plan.stages {
            stages.push(StageShape { first_slot: slots, readers: readers(plan, row.id) });
            slots += width(row, partitions) as usize;
        }
        Self { plan, partitions, stages, slots }
    }

    /// How many tasks a batch has at most.
    pub(crate) fn slots(&self) -> usize {
        self.slots
    }

    /// The number of a task among all that a batch can have.
    pub(crate) fn slot(&self, task: TaskId) -> Option<usize> {
        let row = self.plan.stages.get(task.stage.index())?;
        let fits = task.partition.0 < width(row, self.partitions);
        fits.then(|| self.stages[task.stage.index()].first_slot + task.partition.index())
    }

    /// How many tasks a stage has at most.
    pub(crate) fn width(&self, row: &StageRow) -> u32 {
        width(row, self.partitions)
    }

    /// How many tasks a stage has in a batch with that many inputs per source.
    pub(crate) fn tasks(&self, row: &StageRow, batch: BatchSeq, inputs: &[u32]) -> u32 {
        if !row.runs_in(batch) {
            return 0;
        }
        match row.tasks {
            Tasks::PerRange(source) => {
                inputs.get(source.index()).map_or(0, |inputs| (*inputs).min(self.partitions))
            }
            Tasks::PerPartition => self.partitions,
            Tasks::One => 1,
        }
    }

    /// Who reads what a stage makes; a stage that reads two of its tails is there twice.
    pub(crate) fn readers(&self, stage: StageId) -> &[Reader] {
        &self.stages[stage.index()].readers
    }

    /// The batch that left the state which a task starts from, if the stage has one.
    pub(crate) fn state_before(&self, row: &StageRow, batch: BatchSeq) -> Option<BatchSeq> {
        row.state.as_ref()?;
        batch.0.checked_sub(u64::from(row.every.max(1))).map(BatchSeq)
    }
}

fn width(row: &StageRow, partitions: u32) -> u32 {
    match row.tasks {
        Tasks::One => 1,
        Tasks::PerRange(_) | Tasks::PerPartition => partitions,
    }
}

fn readers(plan: &Plan, producer: StageId) -> Vec<Reader> {
    let mut readers = Vec::new();
    for row in plan.stages {
        for input in row.inputs {
            for (stage, _) in input.from {
                if *stage == producer {
                    readers.push(Reader { stage: row.id, dependency: input.dependency });
                }
            }
        }
    }
    readers
}
