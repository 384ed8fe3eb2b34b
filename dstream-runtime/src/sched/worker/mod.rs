//! The worker's core: a task of its partitions runs as soon as its lineage row is satisfied, and
//! for nothing else does it wait.
//!
//! It is told which batches have begun, which of its own tasks have run and what other workers'
//! tasks made for it; it never asks the master what to do next. What it counts per task is
//! proportional to the task's inputs. Messages may come in any order and more than once: a result
//! counts once per task.
//!
//! Relied on: the partition p of all stages lives on one worker within an epoch, so narrow
//! dependencies and state never leave it; a stage that reads a source keeps no state.

mod event;
mod table;

use std::collections::VecDeque;

pub use self::event::{Retention, RunTask, WorkerAction, WorkerEvent};
use self::table::{BatchTable, Phase};
use super::MAX_IN_FLIGHT;
use super::message::{Failure, TaskTally, ToMaster, ToPeer, ToWorker};
use super::shape::Shape;
use crate::id::{Attempt, BatchSeq, BlockId, Epoch, Partition, StageId, TailId, TaskId, WorkerId};
use crate::plan::{Dependency, Plan};
use crate::time::BatchTime;

/// Batches so far ahead of the oldest one are absurd. More than are in flight: another worker may
/// know of a release that this one has not heard of yet.
const MAX_AHEAD: u64 = 4 * MAX_IN_FLIGHT as u64;

/// The tasks of one worker.
#[derive(Debug)]
pub struct WorkerCore {
    id: WorkerId,
    shape: Shape,
    retention: Retention,
    epoch: Epoch,
    placement: Vec<WorkerId>,
    first: BatchSeq,
    /// Batches that are not over, by number, without gaps.
    tables: VecDeque<BatchTable>,
    oldest: BatchSeq,
    spare: Vec<BatchTable>,
    abandoned: Option<BatchSeq>,
    /// Per stage and partition: the newest batch whose task has run, for stages with state.
    chain: Vec<Vec<BatchSeq>>,
    actions: VecDeque<WorkerAction>,
}

impl WorkerCore {
    /// A worker that knows the plan and waits to be placed. It reports its `slots` at once.
    #[must_use]
    pub fn new(
        id: WorkerId,
        plan: &'static Plan,
        partitions: u32,
        slots: u32,
        retention: Retention,
    ) -> Self {
        let shape = Shape::new(plan, partitions);
        Self {
            id,
            chain: vec![vec![BatchSeq(0); shape.partitions as usize]; plan.stages.len()],
            shape,
            retention,
            epoch: Epoch(0),
            placement: Vec::new(),
            first: BatchSeq(1),
            tables: VecDeque::new(),
            oldest: BatchSeq(1),
            spare: Vec::new(),
            abandoned: None,
            actions: VecDeque::from([WorkerAction::Report(ToMaster::Joined { slots })]),
        }
    }

    /// The next thing to do. The driver polls until there is none.
    pub fn poll(&mut self) -> Option<WorkerAction> {
        self.actions.pop_front()
    }

    /// Takes in one event; what follows from it is there to be polled.
    pub fn handle(&mut self, event: WorkerEvent) {
        match event {
            WorkerEvent::Master(ToWorker::Place { epoch, placement, first, start: _ }) => {
                self.place(epoch, placement, first);
            }
            WorkerEvent::Master(message) if message.epoch() != self.epoch => {}
            WorkerEvent::Master(message) => self.master(message),
            WorkerEvent::Peer(ToPeer::Produced { epoch, task, attempt: _, blocks }) => {
                if epoch == self.epoch && self.owner(task.partition) != Some(self.id) {
                    self.produced(task, &blocks);
                }
            }
            WorkerEvent::Peer(ToPeer::State { .. }) => {}
            WorkerEvent::Ran { task, attempt, blocks, tally } => {
                self.ran(task, attempt, &blocks, tally);
            }
            WorkerEvent::Failed { task, attempt, failure } => self.failed(task, attempt, failure),
        }
    }

    fn place(&mut self, epoch: Epoch, placement: Vec<WorkerId>, first: BatchSeq) {
        let whole = placement.len() == self.shape.partitions as usize;
        if epoch > self.epoch && whole {
            (self.epoch, self.placement, self.first) = (epoch, placement, first);
            self.release(first);
        }
        if epoch == self.epoch {
            self.report(ToMaster::Placed { epoch });
        }
    }

    fn master(&mut self, message: ToWorker) {
        match message {
            ToWorker::Begin { epoch: _, batch, time, inputs, ranges: _, oldest } => {
                self.release(oldest);
                self.begin(batch, time, &inputs);
            }
            ToWorker::Again { epoch: _, task, attempt } => self.again(task, attempt),
            ToWorker::Release { epoch: _, oldest } => self.release(oldest),
            ToWorker::Abandon { epoch: _, from } => {
                let from = self.abandoned.map_or(from, |before| before.min(from));
                self.abandoned = Some(from);
            }
            ToWorker::Place { .. } => {}
        }
    }

    fn owner(&self, partition: Partition) -> Option<WorkerId> {
        self.placement.get(partition.index()).copied()
    }

    fn report(&mut self, message: ToMaster) {
        self.actions.push_back(WorkerAction::Report(message));
    }

    fn is_abandoned(&self, batch: BatchSeq) -> bool {
        self.abandoned.is_some_and(|from| batch >= from)
    }

    /// The index of a batch's table, which is made if there is none; nothing for a batch that is
    /// over or absurd.
    fn table(&mut self, batch: BatchSeq) -> Option<usize> {
        let ahead = batch.0.checked_sub(self.oldest.0).filter(|ahead| *ahead < MAX_AHEAD)?;
        while self.tables.len() as u64 <= ahead {
            let mut table = self.spare.pop().unwrap_or_default();
            table.reset(&self.shape, BatchSeq(self.oldest.0 + self.tables.len() as u64));
            self.tables.push_back(table);
        }
        Some(ahead as usize)
    }

    /// The index of a batch's table if it has begun.
    fn begun(&self, batch: BatchSeq) -> Option<usize> {
        let at = usize::try_from(batch.0.checked_sub(self.oldest.0)?).ok()?;
        self.tables.get(at).filter(|table| table.begun.is_some()).map(|_| at)
    }

    fn release(&mut self, oldest: BatchSeq) {
        if oldest <= self.oldest {
            return;
        }
        while self.tables.front().is_some_and(|table| table.batch < oldest) {
            self.spare.extend(self.tables.pop_front());
        }
        self.oldest = oldest;
        self.actions.push_back(WorkerAction::Forget { oldest });
    }

    /// A batch has been cut: counts what each task misses, and runs those that miss nothing.
    fn begin(&mut self, batch: BatchSeq, time: BatchTime, inputs: &[u32]) {
        if batch < self.first || self.is_abandoned(batch) {
            return;
        }
        let Some(at) = self.table(batch) else { return };
        if self.tables[at].begun.is_some() {
            return;
        }
        self.tables[at].begun = Some(time);
        let plan = self.shape.plan;
        for row in plan.stages {
            self.tables[at].stages[row.id.index()].tasks = self.shape.tasks(row, batch, inputs);
        }
        for row in plan.stages {
            self.begin_stage(at, row.id);
        }
        for row in plan.stages {
            for partition in 0..self.tables[at].stages[row.id.index()].phases.len() as u32 {
                self.run_if_ready(at, row.id, partition);
            }
        }
    }

    fn begin_stage(&mut self, at: usize, stage: StageId) {
        let (row, batch) = (self.shape.plan.stage(stage), self.tables[at].batch);
        let tasks = self.tables[at].stages[stage.index()].tasks;
        if tasks == 0 {
            return;
        }
        let stages = &self.tables[at].stages;
        let unheard = |from: &StageId| {
            let producer = &stages[from.index()];
            producer.tasks - producer.heard.count_below(producer.tasks as usize) as u32
        };
        let wide = row.inputs.iter().filter(|input| input.dependency != Dependency::Narrow);
        let wide: u32 = wide.flat_map(|input| input.from).map(|(from, _)| unheard(from)).sum();
        let before = self.shape.state_before(row, batch).filter(|before| *before >= self.first);
        let mut mine = 0;
        for partition in 0..tasks {
            if self.owner(Partition(partition)) != Some(self.id) {
                continue;
            }
            mine += 1;
            let stages = &self.tables[at].stages;
            let narrow = row.inputs.iter().filter(|input| input.dependency == Dependency::Narrow);
            let narrow = narrow.flat_map(|input| input.from).filter(|(from, _)| {
                let producer = &stages[from.index()];
                partition < producer.tasks && !producer.heard.contains(partition as usize)
            });
            let state = before.is_some_and(|b| self.chain[stage.index()][partition as usize] < b);
            let missing = narrow.count() as u32 + u32::from(wide > 0) + u32::from(state);
            self.tables[at].stages[stage.index()].phases[partition as usize] =
                Phase::Waiting(missing);
        }
        self.tables[at].stages[stage.index()].wide_missing = wide;
        for (from, _) in row.inputs.iter().flat_map(|input| input.from) {
            self.tables[at].stages[from.index()].readers_left += mine;
        }
    }

    fn run_if_ready(&mut self, at: usize, stage: StageId, partition: u32) {
        let phase = self.tables[at].stages[stage.index()].phases.get(partition as usize);
        if phase == Some(&Phase::Waiting(0)) {
            self.run(at, stage, Partition(partition), Attempt(0));
        }
    }

    /// Hands a task to the driver.
    fn run(&mut self, at: usize, stage: StageId, partition: Partition, attempt: Attempt) {
        let (row, table) = (self.shape.plan.stage(stage), &mut self.tables[at]);
        let (batch, Some(time)) = (table.batch, table.begun) else {
            return;
        };
        if self.abandoned.is_some_and(|from| batch >= from) {
            return;
        }
        table.stages[stage.index()].phases[partition.index()] = Phase::Running(attempt);
        let mut inputs: Vec<Vec<BlockId>> = Vec::new();
        for (index, (from, tail)) in row
            .inputs
            .iter()
            .enumerate()
            .flat_map(|(i, input)| input.from.iter().map(move |f| (i, f)))
        {
            let producers = table.stages[from.index()].producers(*tail, partition);
            if producers.is_empty() {
                continue;
            }
            inputs.resize_with(row.inputs.len(), Vec::new);
            inputs[index].extend(producers.iter().map(|producer| BlockId {
                producer: TaskId { batch, stage: *from, partition: *producer },
                tail: *tail,
                partition,
            }));
        }
        let task = TaskId { batch, stage, partition };
        let emits = batch.0.is_multiple_of(u64::from(row.emits_every.max(1)));
        self.actions.push_back(WorkerAction::Run(RunTask { task, attempt, time, emits, inputs }));
    }

    /// The phase of a task of this worker, if its batch has begun.
    fn phase(&mut self, task: TaskId) -> Option<&mut Phase> {
        let at = self.begun(task.batch)?;
        self.tables[at].stages.get_mut(task.stage.index())?.phases.get_mut(task.partition.index())
    }

    fn ran(
        &mut self,
        task: TaskId,
        attempt: Attempt,
        blocks: &[(TailId, Partition)],
        tally: TaskTally,
    ) {
        match self.phase(task) {
            Some(phase) if *phase == Phase::Running(attempt) => *phase = Phase::Done,
            _ => return,
        }
        let epoch = self.epoch;
        self.report(ToMaster::TaskDone { epoch, task, attempt, tally });
        self.tell_peers(task, attempt, blocks);
        self.produced(task, blocks);
        self.state_left(task);
        self.consumed(task);
    }

    fn failed(&mut self, task: TaskId, attempt: Attempt, failure: Failure) {
        match self.phase(task) {
            Some(phase) if *phase == Phase::Running(attempt) => *phase = Phase::Failed(attempt),
            _ => return,
        }
        let epoch = self.epoch;
        self.report(ToMaster::TaskFailed { epoch, task, attempt, failure });
    }

    fn again(&mut self, task: TaskId, attempt: Attempt) {
        match self.phase(task) {
            Some(Phase::Failed(before)) if before.0.checked_add(1) == Some(attempt.0) => {}
            _ => return,
        }
        if let Some(at) = self.begun(task.batch) {
            self.run(at, task.stage, task.partition, attempt);
        }
    }

    /// Tells the workers whose tasks wait for this one by a shuffle or a gather, even if there is
    /// no block for them: they count producers.
    fn tell_peers(&mut self, task: TaskId, attempt: Attempt, blocks: &[(TailId, Partition)]) {
        let readers = self.shape.readers(task.stage).iter();
        let wide = readers.map(|reader| reader.dependency).filter(|d| *d != Dependency::Narrow);
        let Some(reach) = wide.max_by_key(|d| *d == Dependency::Shuffle) else {
            return;
        };
        let mut peers: Vec<WorkerId> = match reach {
            Dependency::Shuffle => self.placement.clone(),
            Dependency::Gather | Dependency::Narrow => {
                self.owner(Partition(0)).into_iter().collect()
            }
        };
        peers.sort_unstable();
        peers.dedup();
        for peer in peers.into_iter().filter(|peer| *peer != self.id) {
            let owned =
                |(_, partition): &&(TailId, Partition)| self.owner(*partition) == Some(peer);
            let blocks = blocks.iter().filter(owned).copied().collect();
            let message = ToPeer::Produced { epoch: self.epoch, task, attempt, blocks };
            self.actions.push_back(WorkerAction::Tell(peer, message));
        }
    }

    /// A task, here or elsewhere, has run: those that read it miss one less.
    fn produced(&mut self, task: TaskId, blocks: &[(TailId, Partition)]) {
        if self.shape.slot(task).is_none() {
            return;
        }
        let Some(at) = self.table(task.batch) else {
            return;
        };
        let table = &mut self.tables[at];
        let producer = &mut table.stages[task.stage.index()];
        if !producer.heard.insert(task.partition.index()) {
            return;
        }
        producer.note(task.partition, blocks);
        if table.begun.is_none() || task.partition.0 >= producer.tasks {
            return;
        }
        for index in 0..self.shape.readers(task.stage).len() {
            let reader = self.shape.readers(task.stage)[index];
            if reader.dependency == Dependency::Narrow {
                self.one_less(at, reader.stage, task.partition.0);
                continue;
            }
            let table = &mut self.tables[at].stages[reader.stage.index()];
            if table.wide_missing == 1 {
                for partition in 0..table.tasks {
                    self.one_less(at, reader.stage, partition);
                }
            }
            let table = &mut self.tables[at].stages[reader.stage.index()];
            table.wide_missing = table.wide_missing.saturating_sub(1);
        }
    }

    /// A stage with state has run: its next task on the partition may start from what it left.
    fn state_left(&mut self, task: TaskId) {
        let row = self.shape.plan.stage(task.stage);
        if row.state.is_none() {
            return;
        }
        self.chain[task.stage.index()][task.partition.index()] = task.batch;
        let next = BatchSeq(task.batch.0.saturating_add(u64::from(row.every.max(1))));
        if let Some(at) = self.begun(next) {
            self.one_less(at, task.stage, task.partition.0);
        }
    }

    fn one_less(&mut self, at: usize, stage: StageId, partition: u32) {
        let phase = self.tables[at].stages[stage.index()].phases.get_mut(partition as usize);
        if let Some(Phase::Waiting(missing)) = phase {
            *missing = missing.saturating_sub(1);
            self.run_if_ready(at, stage, partition);
        }
    }

    /// A task has read its inputs for the last time.
    fn consumed(&mut self, task: TaskId) {
        if self.retention == Retention::Released {
            return;
        }
        let Some(at) = self.begun(task.batch) else {
            return;
        };
        let row = self.shape.plan.stage(task.stage);
        for (from, _) in row.inputs.iter().flat_map(|input| input.from) {
            let producer = &mut self.tables[at].stages[from.index()];
            producer.readers_left = producer.readers_left.saturating_sub(1);
            if producer.readers_left == 0 && producer.tasks > 0 {
                let (batch, stage) = (task.batch, *from);
                self.actions.push_back(WorkerAction::Drop { batch, stage });
            }
        }
    }
}

#[cfg(test)]
mod tests;
