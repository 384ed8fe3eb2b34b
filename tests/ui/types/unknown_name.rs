//! A name that does not exist inside a closure.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    lines.filter(|line| line.len() > leest).print();
}

dstream::main!(job);
