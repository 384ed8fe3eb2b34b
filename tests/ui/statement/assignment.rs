//! An assignment.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    let least = 3;
    least = 4;
    lines.filter(|line| line.len() > least).print();
}

dstream::main!(job);
