//! A parameter whose annotation is not the record's view.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    lines.map(|line: String| line.len() as u64).print();
}

dstream::main!(job);
