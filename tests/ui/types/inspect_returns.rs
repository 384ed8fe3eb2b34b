//! `inspect` only looks: what its function returns would be lost.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    lines.inspect(|line| line.len()).print();
}

dstream::main!(job);
