//! A job that is `unsafe`.

#[dstream::job]
unsafe fn job() {
    let lines = source::text("file:logs");
    lines.print();
}

dstream::main!(job);
