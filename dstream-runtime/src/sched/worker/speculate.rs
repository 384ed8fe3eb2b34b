//! Runs of tasks that another worker owns and is late with, and own runs that another worker's came before.
//!
//! The worker that runs a task tells every reader of it, and each counts it once, whichever run was first. A worker
//! drops a run only when the master says that another one counts, and keeps in mind that it has not made what it
//! may be asked for: then it runs the task after all. If the other run is lost before all readers have heard of it,
//! that is how the rest gets it.

use super::*;
use crate::guards::{Guard, left_out};
use crate::sched::attempt::is_speculative;

impl WorkerCore {
    /// The master wants a task of another worker to be run here too.
    pub(super) fn speculate(&mut self, task: TaskId, attempt: Attempt, ranges: Vec<Range>) {
        let Some(row) = self.shape.plan.stages.get(task.stage.index()) else { return };
        let only_reads =
            matches!(row.tasks, Tasks::PerRange(_)) && row.inputs.is_empty() && row.state.is_none();
        let is_mine = self.owner(task.batch, task.partition) == Some(self.id);
        let Some(at) = self.begun(task.batch) else { return };
        let Some((time, reach)) = self.tables[at].begun.clone() else { return };
        let may =
            only_reads && !is_mine && is_speculative(attempt) && !self.is_abandoned(task.batch);
        if !may || self.shape.slot(task).is_none() || self.second.contains_key(&task) {
            return;
        }
        self.second.insert(task, (attempt, true));
        let emits = row.emits_in(task.batch);
        let inputs = Vec::new();
        let run = RunTask { task, attempt, time, reach, emits, inputs, ranges };
        self.actions.push_back(WorkerAction::Run(run));
    }

    /// Returns whether it was a run of another worker's task. If it still counts, every reader is told.
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
        if self.shape.slot(task).is_none() {
            return;
        }
        let is_missed = self.is_missed(at, task, false);
        let stage = &mut self.tables[at].stages[task.stage.index()];
        let is_wanted = is_missed || stage.wanted.contains_key(&task.partition.0);
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

    /// Whether some partitions here lack news of a task: one that they have asked for, or, where they are `told` of every
    /// task, one that another worker has run. Partitions that were taken over do not get the reports that went to their
    /// owners before.
    fn is_missed(&self, at: usize, task: TaskId, told: bool) -> bool {
        let readers = self.shape.readers(task.stage);
        self.tables[at].parts.iter().any(|part| {
            let asked = readers.iter().any(|reader| part.stages[reader.stage.index()].asked);
            let heard = &part.stages[task.stage.index()].heard;
            (asked || told && part.is_told) && !heard.contains(task.partition.index())
        })
    }

    /// What a task would have made that was dropped is needed here or elsewhere.
    pub(super) fn run_after_all(&mut self, at: usize, stage: StageId, partition: Partition) {
        let phase = self.tables[at].stages[stage.index()].phases.get(partition.index());
        if let Some(Phase::Dropped(attempt)) = phase.copied()
            && !left_out(Guard::DroppedRunsAfterAll)
        {
            self.run(at, stage, partition, attempt);
        }
    }

    /// Own runs that another came before end after all, if that one was lost with its worker before this one
    /// heard of it.
    pub(super) fn run_unheard(&mut self, at: usize) {
        let (batch, mut dropped) = (self.tables[at].batch, Vec::new());
        for row in self.shape.plan.stages {
            if !matches!(row.tasks, Tasks::PerRange(_)) {
                continue;
            }
            for partition in (0..self.tables[at].stages[row.id.index()].tasks).map(Partition) {
                let task = TaskId { batch, stage: row.id, partition };
                if !self.is_missed(at, task, true) {
                    continue;
                }
                match &mut self.tables[at].stages[row.id.index()].phases[partition.index()] {
                    phase @ Phase::Outrun(_) => {
                        if let Phase::Outrun(attempt) = *phase {
                            *phase = Phase::Running(attempt);
                        }
                    }
                    Phase::Dropped(_) => dropped.push((row.id, partition)),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::SourceId;
    use crate::plan::TailRow;
    use crate::sched::attempt::speculative;
    use crate::sched::message::PlacementRow;
    use crate::sched::testplan::{plan, stage};

    const ME: WorkerId = WorkerId(0);
    const OTHER: WorkerId = WorkerId(1);
    const THIRD: WorkerId = WorkerId(2);

    fn task(stage: u16, partition: u32) -> TaskId {
        TaskId { batch: BatchSeq(1), stage: StageId(stage), partition: Partition(partition) }
    }

    fn drain(core: &mut WorkerCore) -> Vec<WorkerAction> {
        std::iter::from_fn(|| core.poll()).collect()
    }

    fn runs(actions: &[WorkerAction]) -> Vec<(TaskId, Attempt)> {
        let run = |action: &WorkerAction| match action {
            WorkerAction::Run(run) => Some((run.task, run.attempt)),
            _ => None,
        };
        actions.iter().filter_map(run).collect()
    }

    fn ran(core: &mut WorkerCore, task: TaskId, attempt: Attempt) -> Vec<WorkerAction> {
        let blocks = vec![(TailId(0), task.partition)];
        let tally = TaskTally { content: 7, ..TaskTally::default() };
        core.handle(WorkerEvent::Ran { task, attempt, blocks, tally });
        drain(core)
    }

    /// A worker that owns the first of two partitions; what is read is read on in its partition. The first
    /// batch has begun, and it runs its task.
    fn begun() -> WorkerCore {
        let plan = plan(
            1,
            vec![
                stage(Tasks::PerRange(SourceId(0))).tail(TailRow::Rows),
                stage(Tasks::PerPartition)
                    .reads(Dependency::Narrow, &[(0, 0)])
                    .tail(TailRow::Partition),
            ],
        );
        let mut core = WorkerCore::new(ME, plan, 2, 1, Retention::Released);
        let (epoch, first, placement) = (Epoch(1), BatchSeq(1), Arc::from([ME, OTHER]));
        let place = ToWorker::Place { epoch, placement, first, start: first };
        core.handle(WorkerEvent::Master(place));
        let (batch, time, oldest) = (BatchSeq(1), BatchTime(1000), BatchSeq(1));
        let (inputs, ranges) = (vec![2], Vec::new());
        let begin = ToWorker::Begin { epoch, batch, time, reach: vec![], inputs, ranges, oldest };
        core.handle(WorkerEvent::Master(begin));
        assert_eq!(runs(&drain(&mut core)), [(task(0, 0), Attempt(0))]);
        core
    }

    fn cancel(core: &mut WorkerCore, task: TaskId) -> Vec<WorkerAction> {
        core.handle(WorkerEvent::Master(ToWorker::Cancel { epoch: Epoch(1), task }));
        drain(core)
    }

    #[test]
    fn a_second_run_tells_the_master_and_the_owner_unless_another_counts() {
        let second = speculative(Attempt(0));
        for counts in [true, false] {
            let mut core = begun();
            let (epoch, task) = (Epoch(1), task(0, 1));
            let speculate =
                ToWorker::Speculate { epoch, task, attempt: second, ranges: Vec::new() };
            core.handle(WorkerEvent::Master(speculate.clone()));
            core.handle(WorkerEvent::Master(speculate));
            assert_eq!(runs(&drain(&mut core)), [(task, second)], "asked twice, it runs once");
            if !counts {
                let cancel = cancel(&mut core, task);
                assert_eq!(cancel, [WorkerAction::Cancel { task, attempt: second }]);
            }
            let actions = ran(&mut core, task, second);
            let tally = TaskTally { content: 7, ..TaskTally::default() };
            let blocks = vec![(TailId(0), Partition(1))];
            let expected = match counts {
                true => vec![
                    WorkerAction::Report(ToMaster::TaskDone {
                        epoch,
                        task,
                        attempt: second,
                        tally,
                    }),
                    WorkerAction::Tell(
                        OTHER,
                        ToPeer::Produced { epoch, task, attempt: second, blocks },
                    ),
                ],
                false => vec![WorkerAction::Report(ToMaster::AlsoRan { epoch, task, content: 7 })],
            };
            assert_eq!(actions, expected);
            assert_eq!(ran(&mut core, task, second), [], "it ends once");
        }
    }

    #[test]
    fn what_another_ran_is_read_on_here_and_the_own_run_is_kept_for_who_asks() {
        let mut core = begun();
        let (epoch, task, attempt) = (Epoch(1), task(0, 0), speculative(Attempt(0)));
        let blocks = vec![(TailId(0), Partition(0))];
        let produced = ToPeer::Produced { epoch, task, attempt, blocks };
        core.handle(WorkerEvent::Peer(produced));
        assert_eq!(runs(&drain(&mut core)), [(self::task(1, 0), Attempt(0))]);
        assert_eq!(cancel(&mut core, task).len(), 1);
        core.handle(WorkerEvent::Peer(ToPeer::Want { epoch, by: OTHER, tasks: vec![task] }));
        assert_eq!(drain(&mut core), [], "it may still end");
        let actions = ran(&mut core, task, Attempt(0));
        let also = WorkerAction::Report(ToMaster::AlsoRan { epoch, task, content: 7 });
        assert!(actions.contains(&also), "{actions:?}");
        assert!(actions.iter().any(|a| matches!(a, WorkerAction::Tell(to, _) if *to == OTHER)));
        assert_eq!(runs(&actions), [], "nothing is read on twice");
    }

    #[test]
    fn a_dropped_run_runs_after_all_when_its_output_is_asked_for() {
        let mut core = begun();
        let task = task(0, 0);
        cancel(&mut core, task);
        core.handle(WorkerEvent::Cancelled { task, attempt: Attempt(0) });
        assert_eq!(drain(&mut core), []);
        let want = ToPeer::Want { epoch: Epoch(1), by: OTHER, tasks: vec![task] };
        core.handle(WorkerEvent::Peer(want));
        assert_eq!(runs(&drain(&mut core)), [(task, Attempt(0))]);
    }

    #[test]
    fn a_dropped_run_runs_after_all_when_the_other_is_lost_before_it_was_heard_of() {
        let recover = || {
            let (first, placement) = (BatchSeq(1), Arc::from([ME, THIRD]));
            let rows = vec![PlacementRow { epoch: Epoch(1), first, placement }];
            WorkerEvent::Master(ToWorker::Recover(Box::new(Recover {
                epoch: Epoch(2),
                rows,
                lost: vec![Partition(1)],
                oldest: BatchSeq(1),
                next: BatchSeq(2),
                batches: Vec::new(),
                states: Vec::new(),
            })))
        };
        let (task, attempt) = (task(0, 0), Attempt(0));
        for recovers_first in [false, true] {
            let mut core = begun();
            cancel(&mut core, task);
            if recovers_first {
                core.handle(recover());
            }
            core.handle(WorkerEvent::Cancelled { task, attempt });
            if !recovers_first {
                core.handle(recover());
            }
            assert_eq!(runs(&drain(&mut core)), [(task, attempt)], "{recovers_first}");
        }
    }
}
