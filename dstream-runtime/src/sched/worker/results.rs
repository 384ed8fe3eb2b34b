//! Tasks have run, here or elsewhere: who is told, and which tasks miss one less.

use super::*;
use crate::guards::{Guard, guard};

impl WorkerCore {
    /// The phase of a task of this worker, if its batch has begun.
    pub(super) fn phase(&mut self, task: TaskId) -> Option<&mut Phase> {
        let at = self.begun(task.batch)?;
        self.tables[at].stages.get_mut(task.stage.index())?.phases.get_mut(task.partition.index())
    }

    pub(super) fn ran(
        &mut self,
        task: TaskId,
        attempt: Attempt,
        blocks: &[(TailId, Partition)],
        tally: TaskTally,
    ) {
        let Some(epoch) = self.epoch_of(task.batch) else { return };
        if self.ghost_ended(task, attempt) || self.second_ran(task, attempt, blocks, tally) {
            return;
        }
        match self.phase(task) {
            Some(phase) if *phase == Phase::Running(attempt) => *phase = Phase::Done,
            Some(phase) if *phase == Phase::Outrun(attempt) => {
                *phase = Phase::Done;
                return self.outrun_ran(epoch, task, attempt, blocks, tally.content);
            }
            _ => return,
        }
        self.report(ToMaster::TaskDone { epoch, task, attempt, tally });
        self.tell_peers(task, attempt, blocks);
        self.remember(task, blocks);
        self.produced(task, blocks, ALWAYS);
        self.state_left(task);
        self.consumed(task);
    }

    pub(super) fn failed(&mut self, task: TaskId, attempt: Attempt, failure: Failure) {
        let Some(epoch) = self.epoch_of(task.batch) else { return };
        if self.ghost_ended(task, attempt) || self.second_failed(task, attempt, &failure) {
            return;
        }
        match self.phase(task) {
            Some(phase) if [Phase::Running(attempt), Phase::Outrun(attempt)].contains(phase) => {
                *phase = Phase::Failed(attempt);
            }
            _ => return,
        }
        self.report(ToMaster::TaskFailed { epoch, task, attempt, failure });
    }

    pub(super) fn again(&mut self, task: TaskId, attempt: Attempt) {
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
        let Some(row) = self.epochs.of(task.batch).filter(|row| !row.peers.is_empty()) else {
            return;
        };
        let Some(at) = self.begun(task.batch) else { return };
        let table = &mut self.tables[at];
        let wanted = table.stages[task.stage.index()].wanted.remove(&task.partition.0);
        if !table.parts[table.part_of(task.partition.0)].is_told {
            // Those who need it have asked, or will.
            for peer in wanted.into_iter().flatten() {
                self.tell_one(peer, task, attempt, blocks);
            }
            return;
        }
        let peers = match reach {
            Dependency::Shuffle => row.peers.clone(),
            Dependency::Gather | Dependency::Narrow => match row.owner(Partition(0)) {
                Some(owner) if owner != self.id => vec![owner],
                _ => return,
            },
        };
        self.tell_each(&peers, task, attempt, blocks);
    }

    /// Tells workers, in ascending order, what a task made for each of them.
    pub(super) fn tell_each(
        &mut self,
        peers: &[WorkerId],
        task: TaskId,
        attempt: Attempt,
        blocks: &[(TailId, Partition)],
    ) {
        let Some(row) = self.epochs.of(task.batch) else { return };
        // In one pass over the blocks, however many workers there are.
        let owned = |block: &(TailId, Partition)| Some((row.owner(block.1)?, *block));
        let mut owned: Vec<_> = blocks.iter().filter_map(owned).collect();
        owned.sort_by_key(|(owner, _)| *owner);
        for peer in peers {
            let start = owned.partition_point(|(owner, _)| owner < peer);
            let blocks = owned[start..].iter().take_while(|(owner, _)| owner == peer);
            let blocks = blocks.map(|(_, block)| *block).collect();
            let epoch = row.epoch.max(self.recovered);
            let message = ToPeer::Produced { epoch, task, attempt, blocks };
            self.actions.push_back(WorkerAction::Tell(*peer, message));
        }
    }

    /// A task, here or elsewhere, has run: those that read it miss one less. It was said in epoch `said`.
    pub(super) fn produced(&mut self, task: TaskId, blocks: &[(TailId, Partition)], said: Epoch) {
        if self.shape.slot(task).is_none() {
            return;
        }
        let Some(at) = self.table(task.batch) else {
            return;
        };
        for part in 0..self.tables[at].parts.len() {
            self.produced_for(at, part, task, blocks, said);
        }
    }

    fn produced_for(
        &mut self,
        at: usize,
        index: usize,
        task: TaskId,
        blocks: &[(TailId, Partition)],
        said: Epoch,
    ) {
        let table = &mut self.tables[at];
        let alone = table.parts.len() == 1;
        let part = &mut table.parts[index];
        let producer = &mut table.stages[task.stage.index()];
        if !guard(Guard::SaidForNewOwner, said >= part.since) {
            return;
        }
        let is_new = part.stages[task.stage.index()].heard.insert(task.partition.index());
        if !guard(Guard::HeardOnce, is_new) {
            return;
        }
        producer.note(task.partition, blocks, (!alone).then_some(&*part.mine));
        if table.begun.is_none() || task.partition.0 >= producer.tasks {
            return;
        }
        let here = alone || part.has(task.partition.0);
        for reader in 0..self.shape.readers(task.stage).len() {
            let reader = self.shape.readers(task.stage)[reader];
            if reader.dependency == Dependency::Narrow {
                if here {
                    self.one_less(at, reader.stage, task.partition.0);
                }
                continue;
            }
            let part = &mut self.tables[at].parts[index];
            let missing = &mut part.stages[reader.stage.index()].wide_missing;
            let last = *missing == 1;
            *missing = missing.saturating_sub(1);
            if last {
                let mine = Arc::clone(&part.mine);
                for partition in mine.iter() {
                    self.one_less(at, reader.stage, *partition);
                }
            }
        }
    }

    /// A stage with state has run: its next task on the partition, here or on the worker that owns it
    /// then, may start from what it left.
    fn state_left(&mut self, task: TaskId) {
        let row = self.shape.plan.stage(task.stage);
        if row.state.is_none() {
            return;
        }
        let here = BatchSeq(task.batch.0.saturating_add(1));
        self.save_if_due(task.stage, task.partition, here);
        if let Some(departure) = self.states.left(task.stage, task.partition, task.batch) {
            return self.send_state(task.stage, task.partition, departure);
        }
        let next = BatchSeq(task.batch.0.saturating_add(u64::from(row.every.max(1))));
        if let Some(at) = self.begun(next) {
            self.one_less(at, task.stage, task.partition.0);
        }
    }

    pub(super) fn one_less(&mut self, at: usize, stage: StageId, partition: u32) {
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
