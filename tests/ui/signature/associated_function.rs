//! A job in an `impl`.

struct Jobs;

impl Jobs {
    #[dstream::job]
    fn job() {
        let lines = source::text("file:logs");
        lines.print();
    }
}

fn main() {}
