//! A job with a type parameter.

#[dstream::job]
fn job<T: Record>() {
    let lines = source::text("file:logs");
    lines.print();
}

dstream::main!(job);
