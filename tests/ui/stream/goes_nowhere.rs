//! A stream expression that goes nowhere.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    lines.filter(|line| !line.is_empty());
    lines.print();
}

dstream::main!(job);
