//! A key that is a list.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    lines.map(|line| (line.bytes().collect::<Vec<u8>>(), 1u64)).reduce_by_key(|a, b| a + b).print();
}

dstream::main!(job);
