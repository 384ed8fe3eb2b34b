//! The numbers of a task's runs.
//!
//! Runs are numbered from 0, and anew from a larger number when the task's partition was lost: so no run of
//! it is ever taken for one from before. The upper half of the numbers in between are those of speculative runs.

use std::collections::BTreeMap;

use crate::id::{Attempt, BatchSeq, Epoch, Partition};

/// How many bits are for runs between two losses.
const BITS: u32 = 10;
/// Set in the number of a speculative run.
const SPECULATIVE: u32 = 1 << (BITS - 1);
/// So often may a task run between two losses.
pub(super) const MAX_ATTEMPTS: u32 = SPECULATIVE - 1;

/// Per partition that was lost: the first batch that had not begun then, and the recovery.
pub(super) type Restarts = BTreeMap<Partition, (BatchSeq, Epoch)>;

/// The number of the first run of a task.
pub(super) fn first_attempt(restarts: &Restarts, batch: BatchSeq, partition: Partition) -> Attempt {
    if restarts.is_empty() {
        return Attempt(0);
    }
    let restart = restarts.get(&partition).filter(|(until, _)| batch < *until);
    Attempt(restart.map_or(0, |(_, epoch)| (epoch.0 as u32) << BITS))
}

/// The number of the speculative run of a task whose own runs begin with `first`.
pub(crate) fn speculative(first: Attempt) -> Attempt {
    Attempt(first.0 | SPECULATIVE)
}

/// Whether it is the number of a run on another worker than the task's own.
pub(crate) fn is_speculative(attempt: Attempt) -> bool {
    attempt.0 & SPECULATIVE != 0
}
