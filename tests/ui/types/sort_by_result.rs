//! `sort_by` needs what can be compared.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    lines.sort_by(|line| std::time::Duration::from_secs(line.len() as u64)).print();
}

dstream::main!(job);
