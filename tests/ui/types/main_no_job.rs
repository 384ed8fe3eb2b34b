//! `dstream::main!` of something that is no job.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    lines.print();
}

fn helper() {}

dstream::main!(helper);
