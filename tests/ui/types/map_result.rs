//! A `map` whose closure returns a `Result`.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    lines.map(|line| line.parse::<u64>()).print();
}

dstream::main!(job);
