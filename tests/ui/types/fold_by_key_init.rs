//! The function of `fold_by_key` does not take what it begins with.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    let pairs = lines.map(|line| (line, 1u64));
    pairs.fold_by_key("", |acc, n| acc + n, |a, b| a + b).print();
}

dstream::main!(job);
