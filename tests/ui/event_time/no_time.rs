//! A time that is text.

#[dstream::job]
fn job() {
    let lines = source::text("file:lines");
    lines.event_time(|line| line, "1s").print();
}

dstream::main!(job);
