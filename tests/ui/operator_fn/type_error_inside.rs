//! A type error inside an operator function points into its closure.

use dstream::prelude::*;

#[dstream::operator]
fn upper(lines: Stream<String>) -> Stream<String> {
    lines.map(|line| line.to_upper())
}

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    let upper_case = upper(lines);
    upper_case.print();
}

dstream::main!(job);
