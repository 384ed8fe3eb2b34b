//! A closure where a value is needed.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    lines.save(|line| line);
}

dstream::main!(job);
