//! A macro.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    println!("{}", 1);
    lines.print();
}

dstream::main!(job);
