//! Operator functions that call each other.

use dstream::prelude::*;

#[dstream::operator]
fn ping(lines: Stream<String>) -> Stream<String> {
    pong(lines)
}

#[dstream::operator]
fn pong(lines: Stream<String>) -> Stream<String> {
    ping(lines)
}

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    let never = ping(lines);
    never.print();
}

dstream::main!(job);
