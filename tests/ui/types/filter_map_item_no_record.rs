//! A `filter_map` of values that are no records.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    lines.filter_map(|line| line.split(' ').next().map(str::as_bytes)).print();
}

dstream::main!(job);
