//! An interval that is too short.

#[dstream::job(interval = "0s")]
fn job() {
    let lines = source::text("file:logs");
    lines.print();
}

dstream::main!(job);
