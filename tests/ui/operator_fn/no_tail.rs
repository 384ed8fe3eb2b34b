//! An operator function that does not end with a stream.

use dstream::prelude::*;

#[dstream::operator]
fn upper(lines: Stream<String>) -> Stream<String> {
    let upper_case = lines.map(|line| line.to_uppercase());
    upper_case.filter(|line| !line.is_empty());
}

fn main() {}
