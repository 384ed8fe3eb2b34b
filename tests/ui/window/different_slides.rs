//! A union of streams that emit at different times.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    let recent = lines.window("30s", "10s");
    recent.union(lines).print();
}

dstream::main!(job);
