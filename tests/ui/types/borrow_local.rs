//! A closure that returns a borrow of its own.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    lines.map(|line| {
        let upper = line.to_uppercase();
        upper.as_str()
    }).print();
}

dstream::main!(job);
