//! A source that does not know where to read.

#[dstream::job]
fn job() {
    let words = source::text();
    words.print();
}

dstream::main!(job);
