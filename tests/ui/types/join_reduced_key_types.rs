//! A join of reduced streams with keys of different types.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    let by_text = lines.map(|line| (line, 1u64)).reduce_by_key(|a, b| a + b);
    let by_length = lines.map(|line| (line.len() as u64, 1u64)).reduce_by_key(|a, b| a + b);
    by_text.join(by_length).print();
}

dstream::main!(job);
