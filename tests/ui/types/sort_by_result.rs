//! `sort_by` needs what can be compared.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    lines.sort_by(|line| std::path::PathBuf::from(line)).print();
}

dstream::main!(job);
