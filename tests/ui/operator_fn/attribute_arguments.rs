//! Arguments of `#[dstream::operator]`.

use dstream::prelude::*;

#[dstream::operator(interval = "1s")]
fn upper(lines: Stream<String>) -> Stream<String> {
    lines.map(|line| line.to_uppercase())
}

fn main() {}
