//! A function inside a job.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    fn long(line: &str) -> bool {
        line.len() > 80
    }
    lines.filter(|line| long(line)).print();
}

dstream::main!(job);
