//! The status of a job: what each batch waits for, and who has to do it. Computed when it is asked for;
//! nothing is kept for it.

use super::epochs::UNOWNED;
use super::*;
use crate::id::Partition;
use crate::plan::StageRow;
use crate::sched::status::{BatchStatus, CutWait, MemberStatus, StageWait, Status, Wait};

impl MasterCore {
    /// How the job is doing.
    #[must_use]
    pub fn status(&self, now_ms: u64) -> Status {
        let mut outstanding = BTreeMap::new();
        let batches = self.batches.iter().map(|batch| BatchStatus {
            batch: batch.seq,
            age_ms: now_ms.saturating_sub(batch.since_ms),
            wait: self.wait(batch, &mut outstanding),
        });
        let batches = batches.collect();
        let newest = self.epochs.newest();
        let members = self.members.iter().map(|(worker, member)| MemberStatus {
            worker,
            standing: member.standing,
            slots: member.slots,
            partitions: newest.map_or(0, |row| row.share(worker)),
            tasks: outstanding.get(&worker).copied().unwrap_or(0),
            settled: self.is_settled(worker),
            slow: self.slow_by(worker),
            share: self.share(worker),
            silent_ms: now_ms.saturating_sub(member.heard_ms),
        });
        Status {
            epoch: newest.map_or(Epoch(0), |row| row.epoch),
            moving: self.epochs.is_moving(),
            members: members.collect(),
            gone: self.members.gone().cloned().collect(),
            batches,
            next: self.next,
            cut: self.cut_wait(),
            speculations: self.speculations(),
        }
    }

    fn is_settled(&self, worker: WorkerId) -> bool {
        let newest = self.epochs.newest().filter(|row| row.share(worker) > 0);
        newest.is_none_or(|row| self.members.settled(worker) >= row.epoch)
    }

    fn wait(&self, batch: &Batch, outstanding: &mut BTreeMap<WorkerId, u32>) -> Wait {
        match &batch.phase {
            Phase::Cutting(cutting) => {
                let names = cutting.unanswered().map(|s| &self.shape.plan.sources[s.index()]);
                Wait::Sources(names.map(|row| row.name.to_owned()).collect())
            }
            Phase::Running(running) if running.left > 0 => {
                Wait::Tasks(self.stage_waits(batch.seq, running, outstanding))
            }
            Phase::Running(running) if running.cut.is_none() => Wait::Journal,
            Phase::Committing => Wait::Journal,
            Phase::Running(_) | Phase::Committed(_) => Wait::Turn { after: self.oldest() },
            Phase::Publishing => Wait::Outputs,
        }
    }

    /// Of the stages with tasks that have not run, those that wait for no other stage of the batch.
    fn stage_waits(
        &self,
        batch: BatchSeq,
        running: &Running,
        outstanding: &mut BTreeMap<WorkerId, u32>,
    ) -> Vec<StageWait> {
        let Some(epoch) = self.epochs.of(batch) else { return Vec::new() };
        let mut waits: Vec<StageWait> = Vec::new();
        let mut open = vec![false; self.shape.plan.stages.len()];
        for row in self.shape.plan.stages {
            let mut by_worker: BTreeMap<WorkerId, u32> = BTreeMap::new();
            for partition in self.open_tasks(batch, row, running) {
                if let Some(owner) = epoch.owner(partition) {
                    *by_worker.entry(owner).or_default() += 1;
                }
            }
            open[row.id.index()] = !by_worker.is_empty();
            for (worker, tasks) in &by_worker {
                *outstanding.entry(*worker).or_default() += tasks;
            }
            let mut from = row.inputs.iter().flat_map(|input| input.from);
            if by_worker.is_empty() || from.any(|(producer, _)| open[producer.index()]) {
                continue;
            }
            let moving = row.state.is_some() && by_worker.keys().any(|w| !self.is_settled(*w));
            let mut tasks: Vec<_> = by_worker.into_iter().collect();
            tasks.retain(|(worker, _)| *worker != UNOWNED);
            tasks.sort_by_key(|(_, tasks)| std::cmp::Reverse(*tasks));
            waits.push(StageWait { stage: row.id, name: row.name.to_owned(), tasks, moving });
        }
        waits
    }

    /// The partitions whose tasks have not run.
    pub(super) fn open_tasks<'a>(
        &'a self,
        batch: BatchSeq,
        row: &'a StageRow,
        running: &'a Running,
    ) -> impl Iterator<Item = Partition> + 'a {
        (0..running.tasks[row.id.index()]).map(Partition).filter(move |partition| {
            let slot = self.shape.slot(TaskId { batch, stage: row.id, partition: *partition });
            slot.is_some_and(|slot| !running.is_done(slot))
        })
    }

    fn cut_wait(&self) -> CutWait {
        if !self.dead.is_empty() {
            let have = self.members.owners_to_be().len() as u32;
            return CutWait::Workers { have, need: self.gathers.max(1) };
        }
        if self.intake.mode() == Mode::Closed {
            return match self.must_save() {
                true => CutWait::Saves(self.unsaved()),
                false => CutWait::Nothing,
            };
        }
        if self.epochs.newest().is_none() {
            let have = self.members.owners_to_be().len() as u32;
            return CutWait::Workers { have, need: self.wants() };
        }
        if !self.members.all_placed() {
            return CutWait::Placement(self.members.unplaced().collect());
        }
        if self.is_cutting() {
            return CutWait::Sources;
        }
        if self.is_full() {
            return CutWait::Checkpoints;
        }
        match self.batches.len() < self.config.in_flight.clamp(1, MAX_IN_FLIGHT) as usize {
            true => CutWait::Time { at_ms: self.config.timetable.end(self.next).0 },
            false => CutWait::Room,
        }
    }
}
