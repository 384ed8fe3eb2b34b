//! A union of a stream with times and one without.

#[dstream::job]
fn job() {
    let left = source::json::<u64>("file:left").event_time(|n| n, "1s");
    let right = source::json::<u64>("file:right");
    left.union(right).print();
}

dstream::main!(job);
