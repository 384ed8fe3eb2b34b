//! `fold_by_key` begins with a value, not with a function.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    let pairs = lines.map(|line| (line, 1u64));
    pairs.fold_by_key(|| 0u64, |acc, n| acc + n, |a, b| a + b).print();
}

dstream::main!(job);
