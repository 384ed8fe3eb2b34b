//! Type arguments of an operator.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    lines.map::<u64>(|line| line.len() as u64).print();
}

dstream::main!(job);
