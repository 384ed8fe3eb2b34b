//! A `flat_map` whose closure returns no iterator.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    lines.flat_map(|line| line.len() as u64).print();
}

dstream::main!(job);
