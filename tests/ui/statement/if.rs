//! A condition.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    if true {
        lines.print();
    }
    lines.print();
}

dstream::main!(job);
