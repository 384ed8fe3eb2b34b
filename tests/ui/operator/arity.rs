//! Too many arguments.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    lines.filter(|line| line.is_empty(), 3).print();
}

dstream::main!(job);
