//! A score that is no record.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    lines.top_k(3, |line| std::time::Duration::from_secs(line.len() as u64)).print();
}

dstream::main!(job);
