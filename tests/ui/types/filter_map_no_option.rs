//! A `filter_map` whose closure returns no `Option`.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    lines.filter_map(|line| line.parse::<u64>()).print();
}

dstream::main!(job);
