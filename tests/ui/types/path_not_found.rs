//! A function that does not exist.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    lines.map(shorten).print();
}

dstream::main!(job);
