//! How many records are in the received blocks that batches have taken: reported when they are lost.
//!
//! For the cuts of this master it is known per received block, for those before it per batch and worker.

use std::collections::BTreeMap;

use crate::id::WorkerId;

#[derive(Default)]
pub(super) struct Taken(BTreeMap<(u64, WorkerId), OfBatch>);

#[derive(Default)]
struct OfBatch {
    all: u64,
    /// By the number of the received block, where it is known.
    each: BTreeMap<u64, u64>,
}

/// Batch, worker, and how many records that batch has of it.
pub(super) type WrittenTaken = Vec<(u64, WorkerId, u64)>;

/// A cut says this of at most this many batches before it: more are not kept.
const WRITTEN: u64 = 256;

impl Taken {
    /// A batch takes a received block.
    pub(super) fn add(&mut self, batch: u64, receiver: WorkerId, number: u64, records: u64) {
        let of = self.0.entry((batch, receiver)).or_default();
        of.all += records;
        of.each.insert(number, records);
    }

    /// Batches before this one are over.
    pub(super) fn forget(&mut self, oldest: u64) {
        self.0 = self.0.split_off(&(oldest, WorkerId(0)));
    }

    pub(super) fn records(&self, batch: u64, receiver: WorkerId, number: u64) -> Option<u64> {
        self.0.get(&(batch, receiver))?.each.get(&number).copied()
    }

    pub(super) fn all(&self, batch: u64, receiver: WorkerId) -> u64 {
        self.0.get(&(batch, receiver)).map_or(0, |of| of.all)
    }

    /// What another process has to know, with the last cut.
    pub(super) fn written(&self, cut: u64) -> WrittenTaken {
        let from = (cut.saturating_sub(WRITTEN), WorkerId(0));
        self.0.range(from..).map(|((batch, receiver), of)| (*batch, *receiver, of.all)).collect()
    }

    pub(super) fn resume(written: WrittenTaken) -> Self {
        let of =
            |(batch, receiver, all)| ((batch, receiver), OfBatch { all, each: BTreeMap::new() });
        Self(written.into_iter().map(of).collect())
    }
}
