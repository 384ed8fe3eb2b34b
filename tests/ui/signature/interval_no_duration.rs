//! An interval that is no duration.

#[dstream::job(interval = "fast")]
fn job() {
    let lines = source::text("file:logs");
    lines.print();
}

dstream::main!(job);
