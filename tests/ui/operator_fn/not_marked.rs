//! A function of streams without its attribute.

use dstream::prelude::*;

fn long_words(lines: Stream<String>) -> Stream<String> {
    lines
}

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    let long = long_words(lines);
    long.print();
}

dstream::main!(job);
