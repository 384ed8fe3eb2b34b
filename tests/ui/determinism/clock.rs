//! The clock of the machine.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    lines.map(|line| (line, std::time::Instant::now().elapsed().as_secs())).print();
}

dstream::main!(job);
