//! An output that does not say where.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    lines.save();
}

dstream::main!(job);
