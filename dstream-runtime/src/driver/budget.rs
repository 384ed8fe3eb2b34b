//! How the memory of a process that runs tasks is divided: what `--memory` says.
//!
//! Bounded is whatever grows with the input. Half of it is for blocks: those of the batches in flight, records that were
//! received, what waits to be sent; what does not fit goes to files. A quarter is for what comes from outside
//! and is not part of a batch: receivers that hold so much read nothing more, and their clients wait. (Where there is one
//! process, what batches have of it is no block, and half of this quarter is for that.) The last
//! quarter is for buffers: those that are kept to be used again, and those that something is coming into.
//!
//! Outside of it are keyed states, which grow with the keys, what the running tasks make, pages of files that are read,
//! and the program with its threads and connections. A receiver holds always as much as one line or body may have.

use super::BUFFERS_KEPT;
use crate::block::MAX_BODY;

/// The memory of a process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Budget {
    memory: u64,
}

impl Budget {
    pub(crate) fn new(memory: u64) -> Self {
        Self { memory }
    }

    /// Bytes of blocks.
    pub(super) fn blocks(self) -> u64 {
        self.memory / 2
    }

    /// What a batch of live sources takes in: it is read while the one before it runs.
    pub(super) fn batch(self) -> u64 {
        self.memory / 8
    }

    /// What each receiver may hold when records are pushed for `streams` streams. Clients of the library, which may
    /// send to all of them, count as one more.
    pub(crate) fn receiver(self, streams: usize) -> u64 {
        self.memory / 4 / (streams as u64 + 1)
    }

    /// What each source may hold that receives in the only process: so much waits, and so much is with batches.
    pub(crate) fn here(self, streams: usize) -> u64 {
        self.memory / 8 / (streams as u64).max(1)
    }

    /// Bytes of buffers that tasks leave to others.
    pub(super) fn buffers(self) -> usize {
        within(BUFFERS_KEPT, self.memory / 8)
    }

    /// The same, of buffers for what comes over the network.
    pub(super) fn arriving(self) -> usize {
        within(MAX_BODY, self.memory / 16)
    }

    /// What one peer has sent and this process has not taken yet, if that differs from the default.
    pub(super) fn untaken(self, default: usize) -> usize {
        within(default, self.memory / 16)
    }
}

fn within(most: usize, share: u64) -> usize {
    most.min(usize::try_from(share).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_are_no_more_than_the_whole() {
        for memory in [0, 1, 1000, 64 << 20, 2 << 30, u64::MAX] {
            for streams in [0, 1, 7] {
                let budget = Budget::new(memory);
                let receiving = budget.receiver(streams) as u128 * (streams as u128 + 1);
                let buffers = budget.buffers() + budget.arriving() + budget.untaken(192 << 20);
                let here = budget.here(streams) as u128 * 2 * streams as u128;
                let all = u128::from(budget.blocks()) + receiving.max(here) + buffers as u128;
                assert!(all <= u128::from(memory), "{memory}, {streams}: {all}");
            }
        }
        // Where there is plenty, nothing is smaller than without a bound.
        let plenty = Budget::new(4 << 30);
        assert_eq!((plenty.buffers(), plenty.arriving()), (BUFFERS_KEPT, MAX_BODY));
        assert_eq!(plenty.untaken(192 << 20), 192 << 20);
    }
}
