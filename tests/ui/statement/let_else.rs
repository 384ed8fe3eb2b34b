//! A `let … else`.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    let Some(least) = Some(3) else {
        panic!()
    };
    lines.filter(|line| line.len() > least).print();
}

dstream::main!(job);
