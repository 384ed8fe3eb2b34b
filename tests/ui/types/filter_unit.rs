//! A filter whose closure returns nothing.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    lines.filter(|line| {
        line.is_empty();
    }).print();
}

dstream::main!(job);
