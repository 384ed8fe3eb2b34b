//! A key that is a float, seen by the compiler.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    lines.key_by(|line| line.len() as f64).reduce_by_key(|a, _| a).print();
}

dstream::main!(job);
