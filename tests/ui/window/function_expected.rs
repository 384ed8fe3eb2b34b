//! A window where the inverse function stands.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    let pairs = lines.map(|line| (line, 1u64));
    let length = "30s";
    pairs.reduce_by_key_and_window(|a, b| a + b, length, "1s").print();
}

dstream::main!(job);
