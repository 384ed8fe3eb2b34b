//! A duration that is malformed.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    lines.window("30 parsecs").count().print();
}

dstream::main!(job);
