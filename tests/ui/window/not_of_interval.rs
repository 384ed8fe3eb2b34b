//! A window that isn't a multiple of the interval.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    lines.window("2500ms").count().print();
}

dstream::main!(job);
