//! A stream that is taken by reference.

use dstream::prelude::*;

#[dstream::operator]
fn upper(lines: &Stream<String>) -> Stream<String> {
    lines.map(|line| line.to_uppercase())
}

fn main() {}
