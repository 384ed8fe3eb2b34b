//! Records without a key have no values.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    lines.flat_map_values(|line| line.chars()).print();
}

dstream::main!(job);
