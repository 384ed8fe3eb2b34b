//! Aggregates of values of another type than they take.

use dstream::prelude::*;

#[dstream::job]
fn wrong() {
    let lines = source::text("file:lines");
    lines.aggregate(agg::mean(|line| line)).print();
    let pairs = lines.map(|line| (line, 1u64));
    pairs.aggregate_by_key(agg::count(), agg::max_by(|n| n)).print();
    lines.aggregate_by_key(agg::count()).print();
    lines.aggregate(agg::average(|line| line.len() as u64)).print();
}

dstream::main!(wrong);
