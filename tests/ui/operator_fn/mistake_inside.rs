//! A mistake inside an operator function is reported once, where it is.

use dstream::prelude::*;

#[dstream::operator]
fn upper(lines: Stream<String>) -> Stream<String> {
    lines.mapp(|line| line.to_uppercase())
}

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    let upper_case = upper(lines);
    let again = upper(upper_case);
    again.print();
}

dstream::main!(job);
