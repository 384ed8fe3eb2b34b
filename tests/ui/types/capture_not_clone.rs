//! A `let` that cannot be cloned into the kernels.

struct Once;

impl Once {
    fn is(&self, line: &str) -> bool {
        line.is_empty()
    }
}

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    let once = Once;
    lines.filter(|line| once.is(line)).print();
}

dstream::main!(job);
