//! A loop over streams.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    for stream in [lines] {
        stream.print();
    }
    lines.print();
}

dstream::main!(job);
