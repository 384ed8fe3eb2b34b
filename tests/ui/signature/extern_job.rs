//! A job with an ABI.

#[dstream::job]
extern "C" fn job() {
    let lines = source::text("file:logs");
    lines.print();
}

dstream::main!(job);
