//! A second name for a stream.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    let all = lines;
    all.print();
}

dstream::main!(job);
