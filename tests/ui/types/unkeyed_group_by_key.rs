//! `group_by_key` of records without a key.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    lines.group_by_key().print();
}

dstream::main!(job);
