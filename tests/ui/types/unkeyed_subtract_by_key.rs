//! `subtract_by_key` of records without a key.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    let pairs = lines.map(|line| (line, 1u64));
    lines.subtract_by_key(pairs).print();
}

dstream::main!(job);
