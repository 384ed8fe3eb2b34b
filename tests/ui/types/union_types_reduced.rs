//! A union of pairs of different values, reduced.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    let ones = lines.map(|line| (line, 1u64));
    let signs = lines.map(|line| (line, -1i64));
    ones.union(signs).reduce_by_key(|a, b| a + b).print();
}

dstream::main!(job);
