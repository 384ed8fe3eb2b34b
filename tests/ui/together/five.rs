//! Five mistakes, all of them reported, and nothing else.

#[dstream::job(interval = "1s")]
fn job() {
    let lines = source::text("file:logs");
    let words = lines.flat_mapp(|line| line.split(' '));
    let recent = words.window("2500ms");
    if recent {
        lines.print();
    }
    lines.save();
    vews.print();
}

dstream::main!(job);
