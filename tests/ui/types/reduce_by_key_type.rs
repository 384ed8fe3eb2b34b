//! A `reduce_by_key` whose closure returns another type.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    let pairs = lines.map(|line| (line, 1u64));
    pairs.reduce_by_key(|a, b| (a + b) as f64).print();
}

dstream::main!(job);
