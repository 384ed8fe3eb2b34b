//! The seed of `sample` is a whole number.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    lines.sample(0.1, "seed").print();
}

dstream::main!(job);
