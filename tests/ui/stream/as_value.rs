//! A stream in an ordinary expression.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    let n = lines + 1;
    lines.print();
}

dstream::main!(job);
