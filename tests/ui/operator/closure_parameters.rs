//! A closure with two parameters where there is one record.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    let pairs = lines.map(|line| (line, 1u64));
    pairs.map(|word, n| n).print();
}

dstream::main!(job);
