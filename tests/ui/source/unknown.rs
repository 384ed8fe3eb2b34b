//! A source that does not exist.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    let views = source::jsn::<String>("file:views");
    views.print();
    lines.print();
}

dstream::main!(job);
