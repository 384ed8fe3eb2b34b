//! An operator that streams do not have.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    lines.mapp(|line| line.len() as u64).print();
}

dstream::main!(job);
