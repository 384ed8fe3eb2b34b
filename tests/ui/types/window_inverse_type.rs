//! An inverse that returns another type.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    let pairs = lines.map(|line| (line, 1u64));
    pairs.reduce_by_key_and_window(|a, b| a + b, |a, b| a > b, "10s", "1s").print();
}

dstream::main!(job);
