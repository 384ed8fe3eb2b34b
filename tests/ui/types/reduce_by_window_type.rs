//! `reduce_by_window` makes records of the same type.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    lines.reduce_by_window(|a, b| a.len() + b.len(), "3s").print();
}

dstream::main!(job);
