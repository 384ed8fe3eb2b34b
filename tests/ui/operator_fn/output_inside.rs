//! An operator function with an output.

use dstream::prelude::*;

#[dstream::operator]
fn upper(lines: Stream<String>) -> Stream<String> {
    let upper_case = lines.map(|line| line.to_uppercase());
    upper_case.print();
    upper_case
}

fn main() {}
