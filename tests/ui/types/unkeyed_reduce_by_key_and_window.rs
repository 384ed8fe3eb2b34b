//! `reduce_by_key_and_window` on a stream without keys.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    let lengths = lines.map(|line| line.len() as u64);
    lengths.reduce_by_key_and_window(|a, b| a + b, "10s", "1s").print();
}

dstream::main!(job);
