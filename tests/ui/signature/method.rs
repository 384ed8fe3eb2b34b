//! A job that is a method.

struct Jobs;

impl Jobs {
    #[dstream::job]
    fn job(&self) {
        let lines = source::text("file:logs");
        lines.print();
    }
}

fn main() {}
