//! A value where a stream is needed.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    lines.union("other").print();
}

dstream::main!(job);
