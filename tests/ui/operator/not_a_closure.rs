//! A value where a function is needed.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    lines.map(42).print();
}

dstream::main!(job);
