//! `right_outer_join` of records without a key.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    let pairs = lines.map(|line| (line, 1u64));
    lines.right_outer_join(pairs).print();
}

dstream::main!(job);
