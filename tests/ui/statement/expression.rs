//! A statement that is no part of the plan.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    std::thread::yield_now();
    lines.print();
}

dstream::main!(job);
