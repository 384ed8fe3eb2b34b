//! `map_partitions` returns what can be iterated over.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    lines.map_partitions(|rows| rows.len() as u64).print();
}

dstream::main!(job);
