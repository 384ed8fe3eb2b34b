//! A number of best records that is no number.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    lines.top_k("3", |line| line.len() as u64).print();
}

dstream::main!(job);
