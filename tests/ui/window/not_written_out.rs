//! A window that is computed.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    let length = "30s";
    lines.window(length).count().print();
}

dstream::main!(job);
