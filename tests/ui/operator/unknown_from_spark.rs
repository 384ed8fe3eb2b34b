//! An operator that is called otherwise elsewhere.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    let pairs = lines.map(|line| (line, 1u64));
    pairs.groupByKey().print();
}

dstream::main!(job);
