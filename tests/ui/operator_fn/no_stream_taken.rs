//! An operator function that takes no stream.

use dstream::prelude::*;

#[dstream::operator]
fn upper(line: &str) -> Stream<String> {
    let lines = source::text("file:logs");
    lines
}

fn main() {}
