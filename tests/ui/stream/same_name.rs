//! Two streams of one name.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    let lines = lines.filter(|line| !line.is_empty());
    lines.print();
}

dstream::main!(job);
