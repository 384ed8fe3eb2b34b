//! One name for a value and a stream.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    let least = 3;
    let least = lines.filter(|line| line.len() > least);
    least.print();
}

dstream::main!(job);
