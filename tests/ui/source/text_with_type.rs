//! A source of text with a type.

#[dstream::job]
fn job() {
    let words = source::text::<String>("file:words");
    words.print();
}

dstream::main!(job);
