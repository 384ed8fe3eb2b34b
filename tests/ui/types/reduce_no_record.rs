//! A `reduce` whose closure returns another type.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    lines.map(|line| line.len() as u64).reduce(|a, b| format!("{a}{b}")).print();
}

dstream::main!(job);
