//! A number that is not written out.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    lines.print(lines_shown);
}

dstream::main!(job);
