//! A job with two parameters.

#[dstream::job]
fn job(input: &str, least: usize) {
    let lines = source::text("file:logs");
    lines.print();
}

dstream::main!(job);
