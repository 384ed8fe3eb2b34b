//! A window of more batches than the tables can hold.

#[dstream::job(interval = "1ms")]
fn job() {
    let lines = source::text("file:logs");
    lines.window("1000000h").count().print();
}

dstream::main!(job);
