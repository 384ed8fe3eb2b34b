//! A job without any output.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    let _words = lines.flat_map(|line| line.split(' '));
}

dstream::main!(job);
