//! An output whose URL is empty.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    lines.save("");
}

dstream::main!(job);
