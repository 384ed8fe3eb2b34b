//! An operator function that returns no stream.

use dstream::prelude::*;

#[dstream::operator]
fn count(lines: Stream<String>) -> u64 {
    lines.count()
}

fn main() {}
