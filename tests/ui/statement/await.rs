//! An `.await`.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    lines.count().await.print();
}

dstream::main!(job);
