//! Endless loops.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    loop {
        lines.print();
    }
    while true {
        lines.print();
    }
    lines.print();
}

dstream::main!(job);
