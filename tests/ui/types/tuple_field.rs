//! A part that a pair does not have.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    let pairs = lines.map(|line| (line, 1u64));
    pairs.filter(|pair| pair.2 > 1).print();
}

dstream::main!(job);
