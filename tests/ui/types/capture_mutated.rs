//! A closure that changes what it captures.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    let seen = 0u64;
    lines.map(|line| {
        seen += 1;
        (line, seen)
    }).print();
}

dstream::main!(job);
