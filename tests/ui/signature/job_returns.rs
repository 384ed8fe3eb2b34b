//! A job that returns a stream.

#[dstream::job]
fn job() -> Stream<String> {
    let lines = source::text("file:logs");
    lines.print();
}

dstream::main!(job);
