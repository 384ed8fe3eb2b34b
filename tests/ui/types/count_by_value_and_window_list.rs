//! A list cannot be a key, so it cannot be counted.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    lines.map(|line| vec![line.len() as u64]).count_by_value_and_window("3s").print();
}

dstream::main!(job);
