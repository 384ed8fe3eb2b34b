//! A key with a float inside, seen by rustc.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    let pairs = lines.map(|line| ((line.parse::<f64>().unwrap_or(0.0), line), 1u64));
    pairs.reduce_by_key(|a, b| a + b).print();
}

dstream::main!(job);
