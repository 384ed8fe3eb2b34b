//! A `map` whose closure returns a number of 128 bits.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    lines.map(|line| line.len() as u128).print();
}

dstream::main!(job);
