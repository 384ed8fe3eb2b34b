//! A stream that nothing uses.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    let words = lines.flat_map(|line| line.split(' '));
    lines.print();
}

dstream::main!(job);
