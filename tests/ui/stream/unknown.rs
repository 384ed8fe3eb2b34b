//! A stream that does not exist.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    let views = lines.filter(|line| !line.is_empty());
    vews.print();
    views.print();
}

dstream::main!(job);
