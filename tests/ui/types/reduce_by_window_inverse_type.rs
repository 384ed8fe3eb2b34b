//! The inverse of `reduce_by_window` makes records of the same type.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    let sizes = lines.map(|line| line.len() as u64);
    sizes.reduce_by_window(|a, b| a + b, |a, b| format!("{a}{b}"), "3s").print();
}

dstream::main!(job);
