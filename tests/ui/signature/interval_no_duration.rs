//! An interval that is invalid.

#[dstream::job(interval = "fast")]
fn job() {
    let lines = source::text("file:logs");
    lines.print();
}

dstream::main!(job);
