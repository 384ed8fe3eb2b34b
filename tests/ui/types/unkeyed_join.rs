//! A join of streams without keys.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    let other = source::text("file:other");
    lines.join(other).print();
}

dstream::main!(job);
