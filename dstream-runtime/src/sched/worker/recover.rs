//! Other workers were lost: who owns what now, what is asked of whom, and what others ask for.
//!
//! A lost partition is taken over as a whole, by one new owner in all batches that are not complete, from the
//! states that were saved last. Everything that its tasks did is idle at first (see [`adopt`](super::adopt)). Every
//! worker asks the owners of what it misses, and an owner sends it again or runs what makes it: there is no view of
//! all blocks anywhere, and a further loss needs nothing else.

use super::*;
use crate::sched::attempt::first_attempt;
use crate::sched::message::PlacementRow;

impl WorkerCore {
    /// The number of the first run of a task: larger for one that may have run before its partition was
    /// lost.
    pub(super) fn first_attempt(&self, batch: BatchSeq, partition: Partition) -> Attempt {
        first_attempt(&self.restarts, batch, partition)
    }

    /// The oldest batch that may be retained when `first` is the next to be cut.
    pub(super) fn before_retained(&self, first: BatchSeq) -> BatchSeq {
        match self.retention {
            Retention::Consumed => first,
            Retention::Released => BatchSeq(first.0.saturating_sub(MAX_AHEAD / 2).max(1)),
        }
    }

    pub(super) fn recover(&mut self, recover: Recover) {
        let Recover { epoch, rows, lost, oldest, next, batches, states } = recover;
        let whole = |row: &PlacementRow| row.placement.len() == self.shape.partitions as usize;
        if epoch <= self.newest() || !rows.iter().all(whole) {
            return;
        }
        self.release(oldest);
        self.recovered = epoch;
        let id = self.id;
        let rows = rows.into_iter();
        self.epochs.replace(rows.map(|r| EpochRow::new(id, r.epoch, r.first, r.placement)));
        self.restarts.retain(|_, (until, _)| *until > oldest);
        self.second.retain(|task, _| !lost.contains(&task.partition));
        self.restarts.extend(lost.iter().map(|partition| (*partition, (next, epoch))));

        for at in
            (0..self.tables.len()).filter(|at| self.tables[*at].begun.is_some()).collect::<Vec<_>>()
        {
            self.disown(at, &lost);
        }
        for row in self.shape.plan.stages.iter().filter(|row| row.state.is_some()) {
            for partition in &lost {
                self.forget_state(row.id, *partition);
            }
        }
        for resumed in &batches {
            self.adopt(resumed, &lost);
        }
        for state in states {
            self.rebuild(state);
        }
        for resumed in &batches {
            let Some(at) = self.begun(resumed.batch) else { continue };
            for (stage, partition) in &resumed.open {
                if self
                    .shape
                    .slot(TaskId { batch: resumed.batch, stage: *stage, partition: *partition })
                    .is_some()
                {
                    self.need(at, *stage, *partition);
                }
            }
        }
        for at in 0..self.tables.len() {
            if self.tables[at].begun.is_some() {
                self.run_unheard(at);
                self.ask_again(at, &lost);
            }
        }
        self.send_wants();
        self.hear_early();
        self.report(ToMaster::Placed { epoch });
        self.settled();
    }

    /// A state is made again, from a saved one by all tasks since.
    fn rebuild(&mut self, state: Saved) {
        let (stage, partition, after) = (state.stage, state.partition, state.after);
        let row = self.shape.plan.stages.get(stage.index());
        if row.is_none_or(|row| row.state.is_none()) {
            return;
        }
        self.restore(state, self.recovered);
        for at in 0..self.tables.len() {
            if self.tables[at].batch > after && self.tables[at].begun.is_some() {
                self.need(at, stage, partition);
            }
        }
    }

    /// What was said too early for what was known then.
    pub(super) fn hear_early(&mut self) {
        for message in std::mem::take(&mut self.early) {
            self.peer(message);
        }
    }

    pub(super) fn send_wants(&mut self) {
        let (epoch, by) = (self.recovered, self.id);
        for (owner, tasks) in std::mem::take(&mut self.wants) {
            let tasks = tasks.into_iter().collect();
            self.actions.push_back(WorkerAction::Tell(owner, ToPeer::Want { epoch, by, tasks }));
        }
    }

    /// Another worker needs what these tasks made, or will make, for its partitions.
    pub(super) fn wanted(&mut self, by: WorkerId, tasks: Vec<TaskId>) {
        for task in tasks {
            let owner = self.owner(task.batch, task.partition);
            let (Some(at), true) = (self.begun(task.batch), owner == Some(self.id)) else {
                continue;
            };
            if self.shape.slot(task).is_none() || by == self.id {
                continue;
            }
            let stage = &mut self.tables[at].stages[task.stage.index()];
            match stage.phases[task.partition.index()] {
                Phase::Absent => {}
                Phase::Done => {
                    let made = stage.made.get(&task.partition.0).cloned().unwrap_or_default();
                    let attempt = self.first_attempt(task.batch, task.partition);
                    self.tell_one(by, task, attempt, &made);
                }
                phase => {
                    stage.wanted.entry(task.partition.0).or_default().insert(by);
                    if phase == Phase::Idle {
                        self.need(at, task.stage, task.partition);
                    }
                    self.run_after_all(at, task.stage, task.partition);
                }
            }
        }
        self.send_wants();
    }

    /// Keeps in mind what a task made, for those who will ask for it.
    pub(super) fn remember(&mut self, task: TaskId, blocks: &[(TailId, Partition)]) {
        if self.retention == Retention::Consumed || blocks.is_empty() {
            return;
        }
        if let Some(at) = self.begun(task.batch) {
            let stage = &mut self.tables[at].stages[task.stage.index()];
            stage.made.insert(task.partition.0, blocks.to_vec());
        }
    }

    /// Tells one worker what a task made for it.
    pub(super) fn tell_one(
        &mut self,
        to: WorkerId,
        task: TaskId,
        attempt: Attempt,
        blocks: &[(TailId, Partition)],
    ) {
        let Some(row) = self.epochs.of(task.batch) else { return };
        let blocks = blocks.iter().filter(|block| row.owner(block.1) == Some(to)).copied();
        let epoch = row.epoch.max(self.recovered);
        let message = ToPeer::Produced { epoch, task, attempt, blocks: blocks.collect() };
        self.actions.push_back(WorkerAction::Tell(to, message));
    }
}
