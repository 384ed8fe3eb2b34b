//! A value that is bound to a pattern.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    let (least, most) = (3, 9);
    lines.filter(|line| line.len() > least).print();
}

dstream::main!(job);
