//! `map_values` on a stream without keys.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    let lengths = lines.map(|line| line.len() as u64);
    lengths.map_values(|n| n + 1).print();
}

dstream::main!(job);
