//! The mistakes of two jobs in one file; the one without any is not mentioned.

#[dstream::job]
fn first() {
    let lines = source::text("file:logs");
    lines.cuont().print();
}

#[dstream::job]
fn good() {
    let lines = source::text("file:logs");
    lines.print();
}

#[dstream::job]
fn second() {
    let lines = source::text("file:logs");
    lines.window("soon").print();
}

dstream::main!(first, good, second);
