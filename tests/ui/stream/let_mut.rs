//! A stream that is mutable.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    let mut counts = lines.count();
    counts.print();
}

dstream::main!(job);
