//! A value where an operator function takes a stream.

use dstream::prelude::*;

#[dstream::operator]
fn long_words(lines: Stream<String>, least: usize) -> Stream<String> {
    let all = lines.flat_map(|line| words(line));
    all.filter(|word| word.len() >= least)
}

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    let long = long_words("lines", 3);
    lines.union(long).print();
}

dstream::main!(job);
