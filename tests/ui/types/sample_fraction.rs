//! The fraction of `sample` is a float.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    lines.sample(1, 42).print();
}

dstream::main!(job);
