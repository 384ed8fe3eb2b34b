//! Every operator with its edge cases: jobs on explicit batches, compared with plain Rust on whole lists,
//! for several numbers of partitions.

mod aggregates;
mod context;
mod event_time;
mod event_time_edges;
mod event_time_values;
mod expiry;
mod grouped;
mod input;
mod join;
mod json;
mod names;
mod outer;
mod output;
mod per_batch;
mod poison;
mod quiet;
mod random;
mod record;
mod record_types;
mod restart;
mod state;
mod table;
mod track;
mod window;
mod window_values;
mod within;

use dstream::record::Record;
use dstream::testing::{Done, Error};

/// The result of a test.
type Tested = Result<(), Error>;

/// The numbers of partitions for every job.
const PARTITIONS: [u32; 3] = [1, 2, 7];

/// Runs a check with every number of partitions.
fn every(check: impl Fn(u32) -> Tested) -> Tested {
    PARTITIONS.into_iter().try_for_each(check)
}

/// The records that an output published in batches 1 to `batches`, sorted.
fn published<R: Record>(done: &Done, output: &str, batches: u64) -> Result<Vec<Vec<R>>, Error> {
    (1..=batches).map(|batch| done.sorted(output, batch)).collect()
}

/// Owned pairs, for expectations.
fn pairs(pairs: &[(&str, u64)]) -> Vec<(String, u64)> {
    pairs.iter().map(|(word, n)| ((*word).to_owned(), *n)).collect()
}
