//! A `map` whose closure returns something that is no record.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    lines.map(|line| std::path::PathBuf::from(line)).print();
}

dstream::main!(job);
