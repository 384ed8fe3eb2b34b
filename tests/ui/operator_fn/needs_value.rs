//! A stream where an operator function takes a value.

use dstream::prelude::*;

#[dstream::operator]
fn long_words(lines: Stream<String>, least: usize) -> Stream<String> {
    let all = lines.flat_map(|line| words(line));
    all.filter(|word| word.len() >= least)
}

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    let long = long_words(lines, lines);
    long.print();
}

dstream::main!(job);
