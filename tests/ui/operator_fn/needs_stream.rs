//! A value where an operator function takes a stream.

use dstream::prelude::*;

#[dstream::operator]
fn both(left: Stream<String>, right: Stream<String>) -> Stream<String> {
    left.union(right)
}

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    let all = both(lines, "other");
    all.print();
}

dstream::main!(job);
