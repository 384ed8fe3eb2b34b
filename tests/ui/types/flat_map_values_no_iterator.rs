//! `flat_map_values` needs what can be iterated over.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    let pairs = lines.map(|line| (line, 1u64));
    pairs.flat_map_values(|n| n + 1).print();
}

dstream::main!(job);
