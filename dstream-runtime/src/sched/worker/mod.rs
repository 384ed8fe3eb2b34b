//! The worker's core: a task of its partitions runs as soon as its lineage row is satisfied, and
//! for nothing else does it wait.
//!
//! It is told which batches have begun, which of its own tasks have run and what other workers'
//! tasks made for it; it never asks the master what to do next. What it counts per task is
//! proportional to the task's inputs. Messages may come in any order and more than once: a result
//! counts once per task.
//!
//! Relied on: the partition p of all stages lives on one worker within an epoch, so narrow
//! dependencies never leave it, and state leaves it only between epochs; a stage that reads a source
//! keeps no state.

mod adopt;
mod begin;
mod epochs;
mod event;
mod recover;
mod results;
mod saves;
mod speculate;
mod states;
mod table;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use self::epochs::{EpochRow, Epochs};
pub use self::event::{Retention, RunTask, WorkerAction, WorkerEvent};
#[cfg(test)]
pub(in crate::sched) use self::saves::MAX_OBJECTS;
use self::saves::Saves;
use self::states::{Came, Departure, States};
use self::table::{BatchTable, Phase};
use super::MAX_IN_FLIGHT;
use super::attempt::{Restarts, is_speculative};
use super::message::{
    Failure, Recover, Resumed, Saved, TaskInput, TaskTally, ToMaster, ToPeer, ToWorker,
};
use super::shape::Shape;
use crate::guards::{Guard, left_out};
use crate::id::{Attempt, BatchSeq, BlockId, Epoch, Partition, StageId, TailId, TaskId, WorkerId};
use crate::plan::{Dependency, Plan, Tasks};
use crate::source::{Range, Reach};
use crate::time::BatchTime;

/// Batches so far ahead of the oldest one are absurd. More than are in flight: another worker may
/// know of a release that this one has not heard of yet.
const MAX_AHEAD: u64 = 4 * MAX_IN_FLIGHT as u64;

/// The epoch of what is said here.
const ALWAYS: Epoch = Epoch(u64::MAX);

/// The tasks of one worker.
#[derive(Debug)]
pub struct WorkerCore {
    id: WorkerId,
    shape: Shape,
    retention: Retention,
    epochs: Epochs,
    /// Batches that are not over, by number, without gaps.
    tables: VecDeque<BatchTable>,
    oldest: BatchSeq,
    spare: Vec<BatchTable>,
    abandoned: Option<BatchSeq>,
    states: States,
    saves: Saves,
    /// The newest recovery.
    recovered: Epoch,
    /// The recovery that a partition was lost before, and the first batch that had not begun then.
    restarts: Restarts,
    /// Other workers' tasks that run here too: the number of the run, and whether it may still count.
    second: BTreeMap<TaskId, (Attempt, bool)>,
    /// What others said that know of a newer recovery.
    early: Vec<ToPeer>,
    /// What is to be asked for, by owner.
    wants: BTreeMap<WorkerId, BTreeSet<TaskId>>,
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
            states: States::new(&shape),
            shape,
            retention,
            epochs: Epochs::default(),
            tables: VecDeque::new(),
            oldest: BatchSeq(1),
            spare: Vec::new(),
            abandoned: None,
            saves: Saves::default(),
            recovered: Epoch(0),
            restarts: Restarts::new(),
            second: BTreeMap::new(),
            early: Vec::new(),
            wants: BTreeMap::new(),
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
            WorkerEvent::Master(message) => self.master(message),
            WorkerEvent::Peer(message) => self.peer(message),
            WorkerEvent::Saved(saved) => self.saved(saved),
            WorkerEvent::NotSaved { stage, partition, after } => {
                self.report(ToMaster::NotSaved { stage, partition, after });
            }
            WorkerEvent::Loaded { stage, partition, recovery } => {
                self.loaded(stage, partition, recovery);
            }
            WorkerEvent::NotLoaded { stage, partition, recovery, why } => {
                if self.expects_load(recovery, stage, partition) {
                    self.report(ToMaster::NotLoaded { stage, partition, why });
                }
            }
            WorkerEvent::Ran { task, attempt, blocks, tally } => {
                self.ran(task, attempt, &blocks, tally);
            }
            WorkerEvent::Failed { task, attempt, failure } => self.failed(task, attempt, failure),
            WorkerEvent::Cancelled { task, attempt } => self.cancelled(task, attempt),
        }
    }

    /// The epoch of a batch, as far as this worker was told.
    #[must_use]
    pub fn epoch_of(&self, batch: BatchSeq) -> Option<Epoch> {
        self.epochs.of(batch).map(|row| row.epoch.max(self.recovered))
    }

    /// The owner of a partition in a batch, as far as this worker was told.
    #[must_use]
    pub fn owner(&self, batch: BatchSeq, partition: Partition) -> Option<WorkerId> {
        self.epochs.of(batch)?.owner(partition)
    }

    /// Whether a state that has come must be loaded, and told: it is expected, now or with a placement
    /// that this worker has not been told of. Another one is a doubled one, and must not be loaded over
    /// what is there.
    #[must_use]
    pub fn expects_state(&self, epoch: Epoch, stage: StageId, partition: Partition) -> bool {
        self.states.expects(stage, partition, epoch, self.newest())
    }

    /// Whether it holds nothing that may be needed: it owns no partition, the batches of those that it owned are
    /// complete, and their state has been handed over.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.epochs.len() <= 1
            && self.epochs.newest().is_none_or(|row| row.mine.is_empty())
            && self.states.at_rest()
            && !self.saves.is_loading()
    }

    /// The newest placement or recovery that it was told.
    fn newest(&self) -> Epoch {
        self.epochs.newest().map_or(self.recovered, |row| row.epoch.max(self.recovered))
    }

    fn peer(&mut self, message: ToPeer) {
        match message {
            ToPeer::Produced { epoch, .. } | ToPeer::Want { epoch, .. }
                if epoch > self.newest()
                    && self.retention == Retention::Released
                    && !left_out(Guard::NotTooEarly) =>
            {
                self.early.push(message);
            }
            ToPeer::Produced { epoch, task, attempt, blocks } => {
                let known =
                    |row: &&EpochRow| (row.epoch..=row.epoch.max(self.recovered)).contains(&epoch);
                let row = self.epochs.of(task.batch).filter(known);
                let elsewhere = |row: &EpochRow| row.owner(task.partition) != Some(self.id);
                if row.is_some_and(|row| elsewhere(row) || is_speculative(attempt)) {
                    self.produced(task, &blocks, epoch);
                }
            }
            ToPeer::State { epoch, stage, partition } => self.state_came(epoch, stage, partition),
            ToPeer::Want { epoch: _, by, tasks } => self.wanted(by, tasks),
        }
    }

    fn master(&mut self, message: ToWorker) {
        let (newest, epoch) = (self.newest(), message.epoch());
        // What is said about a batch counts in that batch's epoch only; the rest in any known one.
        let of = |batch| self.epochs.of(batch).is_some_and(|row| row.epoch == epoch);
        match message {
            ToWorker::Place { epoch, placement, first, start } => {
                self.place(epoch, placement, first, start);
            }
            ToWorker::Begin { epoch: _, batch, time, reach, inputs, ranges, oldest } => {
                if of(batch) {
                    self.release(oldest);
                    self.begin(batch, (time, reach.into()), &inputs, ranges);
                }
            }
            ToWorker::Again { epoch: _, task, attempt } => {
                if of(task.batch) {
                    self.again(task, attempt);
                }
            }
            ToWorker::Speculate { epoch: _, task, attempt, ranges } => {
                if of(task.batch) {
                    self.speculate(task, attempt, ranges);
                }
            }
            ToWorker::Cancel { epoch: _, task } => {
                if of(task.batch) {
                    self.cancel(task);
                }
            }
            ToWorker::Release { epoch, oldest } if epoch <= newest => self.release(oldest),
            ToWorker::Abandon { epoch, from } if epoch <= newest => {
                let from = self.abandoned.map_or(from, |before| before.min(from));
                self.abandoned = Some(from);
            }
            ToWorker::Recover(recover) => self.recover(*recover),
            ToWorker::Checkpoint { epoch, after, states } if epoch <= newest => {
                self.checkpoint(after, states);
            }
            ToWorker::Release { .. } | ToWorker::Abandon { .. } | ToWorker::Checkpoint { .. } => {}
        }
    }

    fn place(
        &mut self,
        epoch: Epoch,
        placement: Arc<[WorkerId]>,
        first: BatchSeq,
        start: BatchSeq,
    ) {
        let newest = self.newest();
        if epoch > newest {
            if !self.is_sound(&placement, first, start) {
                return;
            }
            if self.is_idle() {
                self.release(self.before_retained(first));
            }
            let row = EpochRow::new(self.id, epoch, first, placement);
            let before = self.epochs.newest();
            let gone = self.states.place(&self.shape, self.id, before, &row, start);
            self.epochs.push(row);
            self.epochs.over(self.oldest);
            for (stage, partition, departure) in gone {
                self.send_state(stage, partition, departure);
            }
            self.hear_early();
        }
        self.report(ToMaster::Placed { epoch });
        self.settled();
    }

    /// Whether a placement can be: it is whole and changes nothing of a batch that has begun.
    fn is_sound(&self, placement: &[WorkerId], first: BatchSeq, start: BatchSeq) -> bool {
        let whole = placement.len() == self.shape.partitions as usize;
        let after = self.epochs.newest().is_none_or(|row| row.first <= first);
        let begun = |table: &BatchTable| table.batch >= first && table.begun.is_some();
        whole && after && BatchSeq(1) <= start && start <= first && !self.tables.iter().any(begun)
    }

    fn send_state(&mut self, stage: StageId, partition: Partition, departure: Departure) {
        let Departure { to, epoch } = departure;
        self.unmark(stage, partition);
        self.actions.push_back(WorkerAction::SendState { to, epoch, stage, partition });
    }

    fn state_came(&mut self, epoch: Epoch, stage: StageId, partition: Partition) {
        match self.states.came(stage, partition, epoch, self.newest()) {
            Came::Unexpected | Came::Early => return,
            Came::PassedOn { first, departure } => {
                self.save_if_due(stage, partition, first);
                self.send_state(stage, partition, departure);
            }
            Came::Here { first } => self.state_is_here(stage, partition, first),
        }
        self.settled();
    }

    /// The state of all tasks before `first` is here: the first task since then has waited for it.
    fn state_is_here(&mut self, stage: StageId, partition: Partition, first: BatchSeq) {
        self.save_if_due(stage, partition, first);
        let every = u64::from(self.shape.plan.stage(stage).every.max(1));
        let next = first.0.checked_next_multiple_of(every);
        if let Some(at) = next.and_then(|next| self.begun(BatchSeq(next))) {
            self.one_less(at, stage, partition.0);
        }
    }

    fn settled(&mut self) {
        let epoch = self.newest();
        if self.states.newly_settled(epoch) {
            self.report(ToMaster::Settled { epoch });
        }
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
        self.second.retain(|task, _| task.batch >= oldest);
        self.epochs.over(oldest);
        self.actions.push_back(WorkerAction::Forget { oldest });
    }
}

#[cfg(test)]
mod tests;
