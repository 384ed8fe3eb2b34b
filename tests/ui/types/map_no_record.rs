//! A `map` whose closure returns something that is no record.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    lines.map(|line| std::time::Duration::from_secs(line.len() as u64)).print();
}

dstream::main!(job);
