//! A closure that is `async`.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    lines.map(async |line| line.len() as u64).print();
}

dstream::main!(job);
