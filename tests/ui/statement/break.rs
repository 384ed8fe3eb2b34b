//! A `break`.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    lines.print();
    break;
}

dstream::main!(job);
