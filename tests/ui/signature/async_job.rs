//! A job that is `async`.

#[dstream::job]
async fn job() {
    let lines = source::text("file:logs");
    lines.print();
}

dstream::main!(job);
