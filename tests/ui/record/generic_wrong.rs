//! A generic type that is no record, and a generic record.

use dstream::prelude::*;

struct Tagged<T> {
    value: T,
}

#[derive(Record)]
struct Line {
    text: String,
    tagged: Tagged<u64>,
}

#[derive(Record)]
struct Pair<T> {
    first: T,
    second: Tagged<T>,
}

#[dstream::job]
fn job() {
    let lines = source::json::<Line>("file:lines");
    lines.filter(|line| line.tagged.value > 3).map(|line| line.text).print();
}

dstream::main!(job);
