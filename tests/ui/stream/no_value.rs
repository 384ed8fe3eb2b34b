//! A name without a value.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    let least;
    lines.filter(|line| line.len() > least).print();
}

dstream::main!(job);
