//! A union of different records.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    let lengths = lines.map(|line| line.len() as u64);
    lines.union(lengths).print();
}

dstream::main!(job);
