//! A source of two types.

#[dstream::job]
fn job() {
    let views = source::csv::<String, u64>("file:views");
    views.print();
}

dstream::main!(job);
