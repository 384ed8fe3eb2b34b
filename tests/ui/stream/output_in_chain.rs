//! An operator after an output.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    lines.print().count().save("none:");
}

dstream::main!(job);
