//! A `match`.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    match 3 {
        3 => lines.print(),
        _ => {}
    }
    lines.print();
}

dstream::main!(job);
