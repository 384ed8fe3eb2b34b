//! An output that is bound.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    let shown = lines.print();
}

dstream::main!(job);
