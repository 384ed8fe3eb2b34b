//! A pattern that is no pattern of the record.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    lines.map(|(word, n)| (word, n)).print();
}

dstream::main!(job);
