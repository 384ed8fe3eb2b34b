//! A score that is no record.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    lines.top_k(3, |line| std::path::PathBuf::from(line)).print();
}

dstream::main!(job);
