//! Unusual but valid programs: they compile without warnings and give the right results.

mod closures;
mod connectors;
mod hints;
mod items;
mod operators;

use dstream::record::Record;
use dstream::testing::{Done, Error};

/// The result of a test.
type Tested = Result<(), Error>;

/// The records that an output published in the first batch, sorted.
fn first<R: Record>(done: &Done, output: &str) -> Result<Vec<R>, Error> {
    done.sorted(output, 1)
}
