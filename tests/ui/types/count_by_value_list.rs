//! `count_by_value` of records that cannot be keys.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    lines.map(|line| line.bytes().collect::<Vec<u8>>()).count_by_value().print();
}

dstream::main!(job);
