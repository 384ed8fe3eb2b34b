//! A `flat_map` of items that are no records.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    lines.flat_map(|line| line.split(' ').map(|word| std::path::PathBuf::from(word))).print();
}

dstream::main!(job);
