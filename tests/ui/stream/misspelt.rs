//! Names of streams that are misspelt, in every place that takes one.

use dstream::prelude::*;

#[dstream::operator]
fn longest(lines: Stream<String>) -> Stream<String> {
    lines.top_k(1, |line| line.len() as u64)
}

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    let words = lines.flat_map(|line| words(line));
    let pairs = word.map(|word| (word, 1u64));
    pairs.join(piars).print();
    words.union(lnies).print();
    longest(linse.map(|line| line)).print();
    wrods.print();
}

dstream::main!(job);
