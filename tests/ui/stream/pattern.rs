//! A stream that is bound to a pattern.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    let (words, _) = lines.flat_map(|line| line.split(' '));
    lines.print();
}

dstream::main!(job);
