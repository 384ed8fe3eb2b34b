//! `reduce_by_key` on a stream without keys.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    let lengths = lines.map(|line| line.len() as u64);
    lengths.reduce_by_key(|a, b| a + b).print();
}

dstream::main!(job);
