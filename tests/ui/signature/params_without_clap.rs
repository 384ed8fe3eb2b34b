//! Parameters that are no parameters of a command line.

struct Params {
    input: String,
}

#[dstream::job]
fn job(params: &Params) {
    let lines = source::text("file:logs");
    lines.print();
}

dstream::main!(job);
