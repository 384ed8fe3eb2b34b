//! A `reduce_by_key` of texts that returns a number.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    let pairs = lines.map(|line| (line.len() as u64, line));
    pairs.reduce_by_key(|a, b| a.len() + b.len()).print();
}

dstream::main!(job);
