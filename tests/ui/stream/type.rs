//! A stream with its type written out.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    let counts: Stream<u64> = lines.count();
    counts.print();
}

dstream::main!(job);
