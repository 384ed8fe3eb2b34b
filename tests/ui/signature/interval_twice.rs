//! A setting that is made twice.

#[dstream::job(interval = "1s", interval = "2s")]
fn job() {
    let lines = source::text("file:logs");
    lines.print();
}

dstream::main!(job);
