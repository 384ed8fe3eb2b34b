//! A job that is `const`.

#[dstream::job]
const fn job() {
    let lines = source::text("file:logs");
    lines.print();
}

dstream::main!(job);
