//! A closure that gives a captured text away.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    let prefix = String::from("> ");
    lines.map(|line| prefix + line).print();
}

dstream::main!(job);
