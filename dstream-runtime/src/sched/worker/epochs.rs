//! Which placement holds for which batch, as one worker was told.
//!
//! Invariant: rows are in the order of their epochs and of their first batches; the first row is that of
//! the oldest batch that is not over.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::id::{BatchSeq, Epoch, Partition, WorkerId};

/// One epoch.
#[derive(Debug)]
pub(super) struct EpochRow {
    pub(super) epoch: Epoch,
    /// Its first batch.
    pub(super) first: BatchSeq,
    pub(super) placement: Arc<[WorkerId]>,
    /// The partitions of this worker, ascending.
    pub(super) mine: Arc<[u32]>,
    /// The other workers that own partitions, ascending.
    pub(super) peers: Vec<WorkerId>,
}

impl EpochRow {
    pub(super) fn new(
        me: WorkerId,
        epoch: Epoch,
        first: BatchSeq,
        placement: Arc<[WorkerId]>,
    ) -> Self {
        let own = placement.iter().enumerate().filter(|(_, owner)| **owner == me);
        let mine = own.map(|(partition, _)| partition as u32).collect();
        let mut peers: Vec<_> = placement.iter().copied().filter(|owner| *owner != me).collect();
        peers.sort_unstable();
        peers.dedup();
        Self { epoch, first, placement, mine, peers }
    }

    pub(super) fn owner(&self, partition: Partition) -> Option<WorkerId> {
        self.placement.get(partition.index()).copied()
    }
}

/// The epochs that batches which are not over belong to, and the newest.
#[derive(Debug, Default)]
pub(super) struct Epochs {
    rows: VecDeque<EpochRow>,
}

impl Epochs {
    /// The epoch of a batch.
    pub(super) fn of(&self, batch: BatchSeq) -> Option<&EpochRow> {
        self.rows.iter().rev().find(|row| row.first <= batch)
    }

    /// The newest epoch.
    pub(super) fn newest(&self) -> Option<&EpochRow> {
        self.rows.back()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// All there are, in place of those before.
    pub(super) fn replace(&mut self, rows: impl Iterator<Item = EpochRow>) {
        self.rows = rows.collect();
    }

    /// Adds the newest.
    pub(super) fn push(&mut self, row: EpochRow) {
        self.rows.push_back(row);
    }

    /// Batches before `oldest` are over.
    pub(super) fn over(&mut self, oldest: BatchSeq) {
        while self.rows.get(1).is_some_and(|next| next.first <= oldest) {
            self.rows.pop_front();
        }
    }
}
