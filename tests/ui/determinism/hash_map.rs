//! The order of a hash map.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    lines.flat_map(|line| line.chars().collect::<std::collections::HashSet<_>>()).print();
}

dstream::main!(job);
