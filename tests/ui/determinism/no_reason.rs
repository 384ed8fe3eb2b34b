//! An allowance without a reason.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    #[allow_nondeterminism]
    let stamped = lines.map(|line| (line, std::process::id()));
    stamped.print();
}

dstream::main!(job);
