//! `group_by_key_and_window` of records without a key.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    lines.group_by_key_and_window("3s").print();
}

dstream::main!(job);
