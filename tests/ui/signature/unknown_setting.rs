//! A setting that a job does not have.

#[dstream::job(intervall = "1s")]
fn job() {
    let lines = source::text("file:logs");
    lines.print();
}

dstream::main!(job);
