//! An attribute that means nothing in a job.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    #[inline]
    let counts = lines.count();
    counts.print();
}

dstream::main!(job);
