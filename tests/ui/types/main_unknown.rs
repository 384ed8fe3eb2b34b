//! `dstream::main!` of a job that does not exist.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    lines.print();
}

dstream::main!(jobb);
