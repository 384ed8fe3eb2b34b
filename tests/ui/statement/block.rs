//! A block.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    {
        lines.print();
    }
    lines.print();
}

dstream::main!(job);
