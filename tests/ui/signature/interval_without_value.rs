//! `interval` alone.

#[dstream::job(interval)]
fn job() {
    let lines = source::text("file:logs");
    lines.print();
}

dstream::main!(job);
