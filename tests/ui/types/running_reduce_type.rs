//! A `running_reduce` whose closure returns another type.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    let pairs = lines.map(|line| (line, 1u64));
    pairs.running_reduce(|a, b| a == b).print();
}

dstream::main!(job);
