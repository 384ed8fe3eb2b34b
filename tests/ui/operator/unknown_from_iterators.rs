//! Methods of iterators.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    lines.unique().print();
    lines.enumerate().print();
    lines.take(3).print();
    lines.for_each(|line| println!("{line}"));
    lines.max_by(|a, b| a.len().cmp(&b.len())).print();
}

dstream::main!(job);
