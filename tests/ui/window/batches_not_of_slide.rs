//! A window of batches over a stream that emits less often.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    let slow = lines.window_batches(6, 3);
    slow.window_batches(7).print();
}

dstream::main!(job);
