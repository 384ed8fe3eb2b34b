//! A source whose URL is no text.

#[dstream::job]
fn job() {
    let words = source::text(42);
    words.print();
}

dstream::main!(job);
