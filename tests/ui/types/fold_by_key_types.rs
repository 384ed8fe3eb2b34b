//! What values are folded into is not what is merged.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    let pairs = lines.map(|line| (line, 1u64));
    pairs.fold_by_key(0u64, |acc, n| acc + n, |a, b| format!("{a}{b}")).print();
}

dstream::main!(job);
