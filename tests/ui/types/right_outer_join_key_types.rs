//! `right_outer_join` of streams with keys of different types.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    let pairs = lines.map(|line| (line, 1u64));
    let by_length = lines.map(|line| (line.len() as u64, 1u64));
    pairs.right_outer_join(by_length).print();
}

dstream::main!(job);
