//! An output whose URL is no text.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    lines.save(42);
}

dstream::main!(job);
