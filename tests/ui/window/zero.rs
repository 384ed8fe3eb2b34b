//! A window of nothing.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    lines.window("0s").count().print();
}

dstream::main!(job);
