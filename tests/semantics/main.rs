//! What every operator does, edge cases included: jobs on explicit batches, checked against plain
//! Rust that works on whole lists, for several numbers of partitions.

mod input;
mod join;
mod json;
mod names;
mod output;
mod per_batch;
mod poison;
mod quiet;
mod random;
mod record;
mod restart;
mod state;
mod window;

use dstream::record::Record;
use dstream::testing::{Done, Error};

/// The result of a test.
type Tested = Result<(), Error>;

/// The numbers of partitions that every job runs with.
const PARTITIONS: [u32; 3] = [1, 2, 7];

/// Runs a check with every number of partitions.
fn every(check: impl Fn(u32) -> Tested) -> Tested {
    PARTITIONS.into_iter().try_for_each(check)
}

/// What an output published in each of the batches 1 to `batches`, sorted.
fn published<R: Record>(done: &Done, output: &str, batches: u64) -> Result<Vec<Vec<R>>, Error> {
    (1..=batches).map(|batch| done.sorted(output, batch)).collect()
}

/// Owned pairs, for expectations.
fn pairs(pairs: &[(&str, u64)]) -> Vec<(String, u64)> {
    pairs.iter().map(|(word, n)| ((*word).to_owned(), *n)).collect()
}
