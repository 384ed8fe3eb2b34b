//! Invariants seen from outside: from the plan, the master's messages, and the workers' actions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::world::range;
use crate::id::*;
use crate::plan::{Dependency, Plan, Tasks};
use crate::sched::message::{JournalEntry, ToWorker};
use crate::sched::worker::RunTask;

/// The location of a partition's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holder {
    At(WorkerId),
    Moving(WorkerId, Epoch),
}

pub(super) struct Checks {
    pub(super) plan: &'static Plan,
    pub(super) partitions: u32,
    pub(super) first: BatchSeq,
    /// Inputs per batch and source.
    pub(super) inputs: BTreeMap<(BatchSeq, SourceId), u32>,
    pub(super) running: BTreeMap<TaskId, WorkerId>,
    pub(super) published: Vec<BatchSeq>,
    /// Blocks made by each finished task.
    done: BTreeMap<TaskId, Vec<(TailId, Partition)>>,
    /// Whether a batch has begun: no worker holds anything before.
    begun: bool,
    committed: BatchSeq,
    durable_cuts: BTreeSet<BatchSeq>,
    durable_commits: BTreeSet<BatchSeq>,
    /// Epochs as sent by the master.
    epochs: BTreeMap<Epoch, (BatchSeq, Arc<[WorkerId]>)>,
    /// Per stage with state and partition: its location, and the last batch in it.
    states: BTreeMap<(StageId, Partition), (Holder, BatchSeq)>,
}

impl Checks {
    pub(super) fn new(plan: &'static Plan, partitions: u32, first: BatchSeq) -> Self {
        Self {
            plan,
            partitions,
            first,
            inputs: BTreeMap::new(),
            running: BTreeMap::new(),
            published: Vec::new(),
            done: BTreeMap::new(),
            begun: false,
            committed: BatchSeq(first.0 - 1),
            durable_cuts: BTreeSet::new(),
            durable_commits: BTreeSet::new(),
            epochs: BTreeMap::new(),
            states: BTreeMap::new(),
        }
    }

    fn owner(&self, batch: BatchSeq, partition: Partition) -> WorkerId {
        let epoch = self.epochs.values().rev().find(|(first, _)| *first <= batch);
        epoch.expect("a batch has an epoch").1[partition.index()]
    }

    /// Whether a worker ever owned partitions.
    pub(super) fn was_placed(&self, worker: WorkerId) -> bool {
        self.epochs.values().any(|(_, placement)| placement.contains(&worker))
    }

    /// Whether a worker owns anything in an unfinished batch, or holds or will hold a state.
    fn owns(&self, worker: WorkerId) -> bool {
        let over = BatchSeq(self.first.0 + self.published.len() as u64);
        let mut epochs = self.epochs.values().peekable();
        let mut placed = false;
        while let Some((_, placement)) = epochs.next() {
            let is_over = epochs.peek().is_some_and(|(next, _)| *next <= over);
            placed |= !is_over && placement.contains(&worker);
        }
        let holds = self.states.values().any(|(holder, _)| match holder {
            Holder::At(at) => *at == worker,
            Holder::Moving(to, _) => *to == worker,
        });
        placed || holds
    }

    /// The master sends a message to a worker.
    pub(super) fn told(&mut self, to: WorkerId, message: &ToWorker) {
        match message {
            ToWorker::Place { epoch, placement, first, start } => {
                assert_eq!(*start, self.first);
                if self.epochs.contains_key(epoch) {
                    return;
                }
                let newest = self.epochs.keys().next_back().copied().unwrap_or_default();
                assert!(*epoch > newest, "{epoch} after {newest}");
                self.epochs.insert(*epoch, (*first, Arc::clone(placement)));
                if first == start {
                    self.begin(placement);
                }
            }
            ToWorker::Begin { ranges, batch, .. } => {
                self.begun = true;
                for input in ranges {
                    assert_eq!(self.owner(*batch, input.partition), to, "{input:?} is another's");
                }
            }
            _ => {}
        }
    }

    fn begin(&mut self, placement: &[WorkerId]) {
        for row in self.plan.stages.iter().filter(|row| row.state.is_some()) {
            for (partition, owner) in (0..).map(Partition).zip(placement) {
                if row.tasks != Tasks::One || partition == Partition(0) {
                    let state = (Holder::At(*owner), BatchSeq(0));
                    self.states.insert((row.id, partition), state);
                }
            }
        }
    }

    fn tasks_in(&self, batch: BatchSeq, stage: StageId) -> u32 {
        let row = self.plan.stage(stage);
        if !batch.0.is_multiple_of(u64::from(row.every)) {
            return 0;
        }
        match row.tasks {
            Tasks::PerRange(source) => self.inputs.get(&(batch, source)).copied().unwrap_or(0),
            Tasks::PerPartition => self.partitions,
            Tasks::One => 1,
        }
    }

    fn done_in(&self, batch: BatchSeq) -> usize {
        let task = |batch| TaskId { batch, stage: StageId(0), partition: Partition(0) };
        self.done.range(task(batch)..task(BatchSeq(batch.0 + 1))).count()
    }

    /// The last batch before `batch` in which a stage has tasks; 0 if there is none in this run.
    fn last_before(&self, stage: StageId, batch: BatchSeq) -> BatchSeq {
        let every = u64::from(self.plan.stage(stage).every);
        let last = (batch.0 - 1) / every * every;
        if last < self.first.0 { BatchSeq(0) } else { BatchSeq(last) }
    }

    /// A worker starts a task: everything named in its lineage row must be present, and nothing else is
    /// read.
    pub(super) fn starts(&mut self, on: WorkerId, run: &RunTask) {
        let RunTask { task, inputs, ranges, .. } = run;
        assert!(task.partition.0 < self.tasks_in(task.batch, task.stage), "{task} does not exist");
        assert!(!self.done.contains_key(task), "{task} runs again after it finished");
        assert_eq!(self.owner(task.batch, task.partition), on, "{task} is another worker's");
        assert_eq!(self.running.insert(*task, on), None, "{task} runs twice at a time");
        let row = self.plan.stage(task.stage);
        for (index, input) in row.inputs.iter().enumerate() {
            let mut expected = Vec::new();
            for (from, tail) in input.from {
                for producer in 0..self.tasks_in(task.batch, *from) {
                    let narrow = input.dependency == Dependency::Narrow;
                    if narrow && producer != task.partition.0 {
                        continue;
                    }
                    let producer =
                        TaskId { batch: task.batch, stage: *from, partition: Partition(producer) };
                    let Some(made) = self.done.get(&producer) else {
                        panic!("{task} before {producer}")
                    };
                    if made.contains(&(*tail, task.partition)) {
                        expected.push(BlockId { producer, tail: *tail, partition: task.partition });
                    }
                }
            }
            assert_eq!(inputs.get(index).cloned().unwrap_or_default(), expected, "{task}");
        }
        match row.tasks {
            Tasks::PerRange(_) => assert_eq!(*ranges, [range(task.batch, task.partition)]),
            Tasks::PerPartition | Tasks::One => assert_eq!(*ranges, []),
        }
        if row.state.is_some() {
            let before = self.last_before(task.stage, task.batch);
            let state = self.states[&(task.stage, task.partition)];
            assert_eq!(state, (Holder::At(on), before), "the state of {task}");
        }
    }

    pub(super) fn failed(&mut self, on: WorkerId, task: TaskId) {
        assert_eq!(self.running.remove(&task), Some(on));
    }

    pub(super) fn ran(&mut self, on: WorkerId, task: TaskId, blocks: Vec<(TailId, Partition)>) {
        assert_eq!(self.running.remove(&task), Some(on));
        self.done.insert(task, blocks);
        if let Some((_, last)) = self.states.get_mut(&(task.stage, task.partition)) {
            *last = task.batch;
        }
    }

    /// A state is sent only from its location, as left by the last task before the epoch.
    pub(super) fn sends_state(
        &mut self,
        from: WorkerId,
        to: WorkerId,
        epoch: Epoch,
        stage: StageId,
        partition: Partition,
    ) {
        let what = format!("{stage}, {partition} for {epoch}");
        let (first, placement) = &self.epochs[&epoch];
        assert_eq!(placement[partition.index()], to, "{what}");
        let state = (Holder::At(from), self.last_before(stage, *first));
        assert_eq!(self.states[&(stage, partition)], state, "{what}");
        let runs = |task: &TaskId| (task.stage, task.partition) == (stage, partition);
        assert!(!self.running.keys().any(runs), "{what} is in use");
        self.states.insert((stage, partition), (Holder::Moving(to, epoch), state.1));
    }

    pub(super) fn loads_state(
        &mut self,
        on: WorkerId,
        epoch: Epoch,
        stage: StageId,
        partition: Partition,
    ) {
        let (holder, last) = self.states[&(stage, partition)];
        assert_eq!(holder, Holder::Moving(on, epoch), "{stage}, {partition} is loaded twice");
        self.states.insert((stage, partition), (Holder::At(on), last));
    }

    pub(super) fn commits(&mut self, batch: BatchSeq) {
        self.committed.0 += 1;
        assert_eq!(batch, self.committed, "batches are committed in order");
    }

    pub(super) fn durable(&mut self, entry: &JournalEntry) {
        match entry {
            JournalEntry::Cut { batch, .. } => self.durable_cuts.insert(*batch),
            JournalEntry::Commit { batch, .. } => self.durable_commits.insert(*batch),
            _ => panic!("no worker may be lost: {entry:?}"),
        };
    }

    pub(super) fn publishes(&mut self, batch: BatchSeq) {
        assert!(self.durable_cuts.contains(&batch) && self.durable_commits.contains(&batch));
        let stages = self.plan.stages.iter();
        let tasks: usize = stages.map(|row| self.tasks_in(batch, row.id) as usize).sum();
        assert_eq!(self.done_in(batch), tasks, "{batch} is incomplete");
        let next = self.first.0 + self.published.len() as u64;
        assert_eq!(batch.0, next, "out of order, or twice");
        self.published.push(batch);
    }

    /// A dismissed worker must own and run nothing.
    pub(super) fn dismissed(&self, worker: WorkerId) {
        assert!(!self.begun || !self.owns(worker), "{worker} may go, and owns something");
        assert!(!self.running.values().any(|on| *on == worker), "{worker} runs a task");
    }

    /// A dropped block must not be needed by a task on that worker.
    pub(super) fn dropped(&self, on: WorkerId, batch: BatchSeq, stage: StageId) {
        let readers = self.plan.stages.iter().filter(|row| {
            row.inputs.iter().any(|input| input.from.iter().any(|(from, _)| *from == stage))
        });
        for reader in readers {
            for partition in (0..self.tasks_in(batch, reader.id)).map(Partition) {
                let task = TaskId { batch, stage: reader.id, partition };
                let elsewhere = self.owner(batch, partition) != on;
                assert!(self.done.contains_key(&task) || elsewhere, "{task} still needs {stage}");
            }
        }
    }

    /// A worker must not forget an unfinished batch that it takes part in.
    pub(super) fn forgets(&self, on: WorkerId, oldest: BatchSeq) {
        let over = self.first.0 + self.published.len() as u64;
        for batch in (over..oldest.0).map(BatchSeq) {
            let takes_part = (0..self.partitions).any(|p| self.owner(batch, Partition(p)) == on);
            assert!(!takes_part, "{on} forgets {batch}");
        }
    }
}
