//! `window_batches` counts batches, in numbers that are written out.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    lines.window_batches("30s").print();
    lines.window_batches(60, 0).print();
}

dstream::main!(job);
