//! A source that does not know its records.

#[dstream::job]
fn job() {
    let views = source::json("file:views");
    views.print();
}

dstream::main!(job);
