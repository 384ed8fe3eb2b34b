//! A function of another type than the records.

fn double(n: u64) -> u64 {
    n * 2
}

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    lines.map(double).print();
}

dstream::main!(job);
