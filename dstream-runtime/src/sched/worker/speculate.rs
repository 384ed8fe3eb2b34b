//! Runs of tasks that another worker owns and is late with, and own runs that another worker's came before.
//!
//! Whoever runs a task tells everybody who reads it, and each counts it once, whoever was first. A worker
//! drops a run only when the master says that another one counts, and keeps in mind that it has not made
//! what it may be asked for: then it runs the task after all. If the other run is lost before everybody has
//! heard of it, that is how the rest gets it.

use super::*;
use crate::sched::attempt::is_speculative;

impl WorkerCore {
    /// The master wants a task of another worker to be run here too.
    pub(super) fn speculate(&mut self, task: TaskId, attempt: Attempt, ranges: Vec<Range>) {
        let Some(row) = self.shape.plan.stages.get(task.stage.index()) else { return };
        let only_reads =
            matches!(row.tasks, Tasks::PerRange(_)) && row.inputs.is_empty() && row.state.is_none();
        let is_mine = self.owner(task.batch, task.partition) == Some(self.id);
        let Some(at) = self.begun(task.batch) else { return };
        let Some(time) = self.tables[at].begun else { return };
        let may =
            only_reads && !is_mine && is_speculative(attempt) && !self.is_abandoned(task.batch);
        if !may || self.shape.slot(task).is_none() || self.second.contains_key(&task) {
            return;
        }
        self.second.insert(task, (attempt, true));
        let emits = task.batch.0.is_multiple_of(u64::from(row.emits_every.max(1)));
        let run = RunTask { task, attempt, time, emits, inputs: Vec::new(), ranges };
        self.actions.push_back(WorkerAction::Run(run));
    }

    /// Whether it was a run of another worker's task. If it still counts, everybody is told.
    pub(super) fn second_ran(
        &mut self,
        task: TaskId,
        attempt: Attempt,
        blocks: &[(TailId, Partition)],
        tally: TaskTally,
    ) -> bool {
        if !is_speculative(attempt) {
            return false;
        }
        let counts = match self.second.get(&task) {
            Some((of, counts)) if *of == attempt => *counts,
            _ => return true,
        };
        self.second.remove(&task);
        let Some(epoch) = self.epoch_of(task.batch) else { return true };
        if self.begun(task.batch).is_none() {
            return true;
        }
        if !counts {
            self.report(ToMaster::AlsoRan { epoch, task, content: tally.content });
            return true;
        }
        self.report(ToMaster::TaskDone { epoch, task, attempt, tally });
        let peers = self.second_readers(task);
        self.tell_each(&peers, task, attempt, blocks);
        self.produced(task, blocks, ALWAYS);
        true
    }

    /// Whether it was a run of another worker's task: then its owner goes on alone.
    pub(super) fn second_failed(
        &mut self,
        task: TaskId,
        attempt: Attempt,
        failure: &Failure,
    ) -> bool {
        if !is_speculative(attempt) {
            return false;
        }
        if self.second.get(&task).is_some_and(|(of, _)| *of == attempt) {
            self.second.remove(&task);
            if let Some(epoch) = self.epoch_of(task.batch) {
                let failure = failure.clone();
                self.report(ToMaster::TaskFailed { epoch, task, attempt, failure });
            }
        }
        true
    }

    /// Who reads what another worker's task makes, its owner included.
    fn second_readers(&self, task: TaskId) -> Vec<WorkerId> {
        let Some(row) = self.epochs.of(task.batch) else { return Vec::new() };
        let readers = self.shape.readers(task.stage).iter().map(|reader| reader.dependency);
        let mut peers = BTreeSet::new();
        for dependency in readers {
            match dependency {
                Dependency::Shuffle => peers.extend(row.peers.iter().copied()),
                Dependency::Gather => peers.extend(row.owner(Partition(0))),
                Dependency::Narrow => peers.extend(row.owner(task.partition)),
            }
        }
        peers.remove(&self.id);
        peers.into_iter().collect()
    }

    /// Another run of a task counts.
    pub(super) fn cancel(&mut self, task: TaskId) {
        if let Some((attempt, counts)) = self.second.get_mut(&task) {
            *counts = false;
            let attempt = *attempt;
            return self.actions.push_back(WorkerAction::Cancel { task, attempt });
        }
        if self.owner(task.batch, task.partition) != Some(self.id) || !self.reads(task) {
            return;
        }
        if let Some(phase) = self.phase(task)
            && let Phase::Running(attempt) = *phase
        {
            *phase = Phase::Outrun(attempt);
            self.actions.push_back(WorkerAction::Cancel { task, attempt });
        }
    }

    /// Whether it is a task that may run twice.
    fn reads(&self, task: TaskId) -> bool {
        let row = self.shape.plan.stages.get(task.stage.index());
        row.is_some_and(|row| matches!(row.tasks, Tasks::PerRange(_)))
    }

    /// A run was dropped, or stopped.
    pub(super) fn cancelled(&mut self, task: TaskId, attempt: Attempt) {
        if is_speculative(attempt) {
            self.second.retain(|of, (number, _)| (*of, *number) != (task, attempt));
            return;
        }
        let Some(at) = self.begun(task.batch) else { return };
        let stage = &mut self.tables[at].stages[task.stage.index()];
        let is_wanted = stage.wanted.contains_key(&task.partition.0);
        let Some(phase) = stage.phases.get_mut(task.partition.index()) else { return };
        match *phase {
            // The other run was lost meanwhile.
            Phase::Running(of) if of == attempt => {
                self.run(at, task.stage, task.partition, attempt)
            }
            Phase::Outrun(of) if of == attempt => {
                *phase = Phase::Dropped(attempt);
                if is_wanted {
                    self.run_after_all(at, task.stage, task.partition);
                }
            }
            _ => {}
        }
    }

    /// What a task would have made that was dropped is needed here or elsewhere.
    pub(super) fn run_after_all(&mut self, at: usize, stage: StageId, partition: Partition) {
        let phase = self.tables[at].stages[stage.index()].phases.get(partition.index());
        if let Some(Phase::Dropped(attempt)) = phase.copied() {
            self.run(at, stage, partition, attempt);
        }
    }

    /// Own runs that another came before end after all, if that one was lost with its worker before this one
    /// heard of it.
    pub(super) fn run_unheard(&mut self, at: usize) {
        let table = &mut self.tables[at];
        let mut dropped = Vec::new();
        for row in self.shape.plan.stages {
            if !matches!(row.tasks, Tasks::PerRange(_)) {
                continue;
            }
            for partition in 0..table.stages[row.id.index()].tasks {
                let part = &table.parts[table.part_of(partition)];
                if part.stages[row.id.index()].heard.contains(partition as usize) {
                    continue;
                }
                match &mut table.stages[row.id.index()].phases[partition as usize] {
                    phase @ Phase::Outrun(_) => {
                        if let Phase::Outrun(attempt) = *phase {
                            *phase = Phase::Running(attempt);
                        }
                    }
                    Phase::Dropped(_) => dropped.push((row.id, Partition(partition))),
                    _ => {}
                }
            }
        }
        for (stage, partition) in dropped {
            self.run_after_all(at, stage, partition);
        }
    }

    /// An own run has ended that another came before: it is kept for those who will ask for it.
    pub(super) fn outrun_ran(
        &mut self,
        epoch: Epoch,
        task: TaskId,
        attempt: Attempt,
        blocks: &[(TailId, Partition)],
        content: u64,
    ) {
        self.report(ToMaster::AlsoRan { epoch, task, content });
        if let Some(at) = self.begun(task.batch) {
            let wanted =
                self.tables[at].stages[task.stage.index()].wanted.remove(&task.partition.0);
            for peer in wanted.into_iter().flatten() {
                self.tell_one(peer, task, attempt, blocks);
            }
        }
        self.remember(task, blocks);
        self.produced(task, blocks, ALWAYS);
    }
}
