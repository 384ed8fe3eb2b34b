//! An interval that is a number.

#[dstream::job(interval = 5)]
fn job() {
    let lines = source::text("file:logs");
    lines.print();
}

dstream::main!(job);
