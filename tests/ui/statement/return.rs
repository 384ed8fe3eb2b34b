//! A `return`.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    lines.print();
    return;
}

dstream::main!(job);
