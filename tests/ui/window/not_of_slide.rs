//! A window over a window that slides otherwise.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    let recent = lines.window("30s", "10s");
    recent.window("45s").count().print();
}

dstream::main!(job);
