//! `fold_by_key` of records without a key.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    lines.fold_by_key(0u64, |acc, n| acc + n, |a, b| a + b).print();
}

dstream::main!(job);
