//! A `map` whose closure returns nothing.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    lines.map(|line| {
        line.len();
    }).print();
}

dstream::main!(job);
