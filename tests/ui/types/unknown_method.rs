//! A method that a view does not have.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    lines.map(|line| line.length()).print();
}

dstream::main!(job);
