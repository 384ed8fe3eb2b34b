//! A comparison of a text with a number.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    lines.filter(|line| line.len() > "3").print();
}

dstream::main!(job);
