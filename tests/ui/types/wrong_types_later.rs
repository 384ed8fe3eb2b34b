//! A type that comes from an operator before.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    let counts = lines.map(|line| (line, 1u64)).reduce_by_key(|a, b| a + b);
    let long = counts.filter(|(_, n)| n.is_empty());
    long.print();
}

dstream::main!(job);
