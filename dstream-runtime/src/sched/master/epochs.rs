//! Which placement holds for which batch, and who still takes part in any.
//!
//! Invariant: rows are in the order of their epochs and of their first batches. A row goes when its batches are
//! complete and all state that the next one moves has arrived: a worker that owns nothing in any row holds nothing
//! that may be needed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use crate::guards::{Guard, guard, left_out};
use crate::id::{BatchSeq, Epoch, Partition, WorkerId};
use crate::sched::message::TaskInput;
use crate::source::Range;

/// No more epochs than this are kept: further changes of members wait until state has arrived.
const MAX_EPOCHS: usize = 16;

/// Owns all partitions while a master that has started again has no workers: no worker has this number.
pub(super) const UNOWNED: WorkerId = WorkerId(u32::MAX);

/// One epoch.
#[derive(Debug)]
pub(super) struct EpochRow {
    pub(super) epoch: Epoch,
    /// Its first batch.
    pub(super) first: BatchSeq,
    pub(super) placement: Arc<[WorkerId]>,
    /// Who owns partitions, ascending.
    pub(super) members: Vec<WorkerId>,
    /// Per partition its owner, as an index into the members.
    owners: Vec<u32>,
    /// Per member how many partitions it owns.
    shares: Vec<u32>,
}

impl EpochRow {
    pub(super) fn new(epoch: Epoch, first: BatchSeq, placement: Vec<WorkerId>) -> Self {
        let mut members = placement.clone();
        members.sort_unstable();
        members.dedup();
        let mut shares = vec![0; members.len()];
        let index = |owner: &WorkerId| members.partition_point(|member| member < owner);
        let owners: Vec<u32> = placement.iter().map(|owner| index(owner) as u32).collect();
        owners.iter().for_each(|owner| shares[*owner as usize] += 1);
        Self { epoch, first, placement: placement.into(), members, owners, shares }
    }

    pub(super) fn owner(&self, partition: Partition) -> Option<WorkerId> {
        self.placement.get(partition.index()).copied()
    }

    /// How many partitions a worker owns.
    pub(super) fn share(&self, worker: WorkerId) -> u32 {
        self.members.binary_search(&worker).map_or(0, |index| self.shares[index])
    }

    /// What each member's tasks read, in the order of the members; in one pass over the inputs.
    pub(super) fn deal(&self, inputs: &[Vec<Vec<Range>>]) -> Vec<Vec<TaskInput>> {
        let mut dealt = vec![Vec::new(); self.members.len()];
        for (source, inputs) in (0..).map(crate::id::SourceId).zip(inputs) {
            // Never more inputs than partitions: those beyond have no task.
            for (partition, (ranges, owner)) in inputs.iter().zip(&self.owners).enumerate() {
                let (partition, ranges) = (Partition(partition as u32), ranges.clone());
                dealt[*owner as usize].push(TaskInput { source, partition, ranges });
            }
        }
        dealt
    }
}

/// The epochs that still matter.
#[derive(Debug)]
pub(super) struct Epochs {
    rows: VecDeque<EpochRow>,
    last: Epoch,
}

impl Epochs {
    /// None yet; all numbers are larger than those of any earlier term.
    pub(super) fn new(term: u32) -> Self {
        let term = if left_out(Guard::EpochsOfTerms) { 0 } else { u64::from(term) };
        Self { rows: VecDeque::new(), last: Epoch(term << Epoch::CHANGES) }
    }

    /// The number of the newest epoch there has been.
    pub(super) fn last(&self) -> Epoch {
        self.last
    }

    pub(super) fn newest(&self) -> Option<&EpochRow> {
        self.rows.back()
    }

    /// The epoch of a batch.
    pub(super) fn of(&self, batch: BatchSeq) -> Option<&EpochRow> {
        self.rows.iter().rev().find(|row| row.first <= batch)
    }

    /// Whether there is room for another.
    pub(super) fn has_room(&self) -> bool {
        self.rows.len() < MAX_EPOCHS
    }

    /// Whether partitions are moving, or batches of an older placement run.
    pub(super) fn is_moving(&self) -> bool {
        self.rows.len() > 1
    }

    /// Begins the next epoch.
    pub(super) fn push(&mut self, first: BatchSeq, placement: Vec<WorkerId>) {
        self.last.0 += 1;
        self.rows.push_back(EpochRow::new(self.last, first, placement));
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &EpochRow> {
        self.rows.iter()
    }

    /// The partitions that some workers own in any epoch that matters, ascending.
    pub(super) fn lost(&self, workers: &BTreeSet<WorkerId>) -> Vec<Partition> {
        let lost = self.rows.iter().flat_map(|row| {
            let owners = (0..).map(Partition).zip(row.placement.iter());
            owners.filter(|(_, owner)| workers.contains(owner)).map(|(partition, _)| partition)
        });
        lost.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Gives partitions to new owners in all epochs that matter. It takes a number as an epoch does.
    pub(super) fn recover(&mut self, new_owners: &BTreeMap<Partition, WorkerId>) {
        self.last.0 += 1;
        for row in &mut self.rows {
            let mut placement = row.placement.to_vec();
            for (partition, new_owner) in new_owners {
                placement[partition.index()] = *new_owner;
            }
            *row = EpochRow::new(row.epoch, row.first, placement);
        }
    }

    /// Forgets all placements: nothing has been done under them.
    pub(super) fn clear(&mut self) {
        self.rows.clear();
    }

    /// Lets the oldest row go if batches before `oldest` are over and what moves away from it has arrived.
    pub(super) fn retire(&mut self, oldest: BatchSeq, settled: impl Fn(WorkerId) -> Epoch) -> bool {
        let before = self.rows.len();
        while let Some(next) = self.rows.get(1) {
            let arrived = || next.members.iter().all(|member| settled(*member) >= next.epoch);
            if next.first > oldest || !guard(Guard::StateCameFirst, arrived()) {
                break;
            }
            self.rows.pop_front();
        }
        self.rows.len() < before
    }

    /// Whether a worker owns a partition in any epoch that matters.
    pub(super) fn owns(&self, worker: WorkerId) -> bool {
        self.rows.iter().any(|row| row.share(worker) > 0)
    }

    /// All workers that own a partition in any epoch that matters, ascending.
    pub(super) fn owners(&self) -> Vec<WorkerId> {
        match self.rows.len() {
            1 => self.rows[0].members.clone(),
            _ => {
                let members = self.rows.iter().flat_map(|row| row.members.iter().copied());
                members.collect::<BTreeSet<_>>().into_iter().collect()
            }
        }
    }
}
