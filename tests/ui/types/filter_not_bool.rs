//! A filter whose closure returns no `bool`.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    lines.filter(|line| line.len()).print();
}

dstream::main!(job);
