//! A `filter_map` of values that are no records.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    lines.filter_map(|line| line.split(' ').next().map(|word| std::path::PathBuf::from(word))).print();
}

dstream::main!(job);
