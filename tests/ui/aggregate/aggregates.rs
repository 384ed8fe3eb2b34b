//! What is no aggregate, and aggregates of values that they do not take.

use dstream::prelude::*;

#[dstream::job]
fn none() {
    let lines = source::text("file:lines");
    lines.aggregate(agg::count).print();
    lines.aggregate().print();
    lines.aggregate(agg::max(|a, b| a)).print();
}

dstream::main!(none);
