//! A `?`.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    let least = "3".parse::<usize>()?;
    lines.filter(|line| line.len() > least).print();
}

dstream::main!(job);
