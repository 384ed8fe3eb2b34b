//! A wrong job keeps its name, its visibility and its parameters: no other error follows from it.

use dstream::prelude::*;
use dstream::testing::Run;

mod jobs {
    use dstream::prelude::*;

    #[dstream::params]
    pub struct Params {
        #[arg(long, default_value_t = 3)]
        pub least: usize,
    }

    /// Words that are long.
    #[dstream::job(interval = "1s")]
    pub fn long_words(params: &Params) {
        let lines = source::text("file:logs");
        let words = lines.flat_mapp(|line| words(line));
        words.print();
    }
}

#[derive(Record)]
struct PageView {
    url: String,
}

fn run(params: jobs::Params) {
    let view = PageViewRef { url: "a" };
    let run = Run::new(jobs::long_words).params(params).input("lines", [[view.url]]);
    let _ = run.run();
}

dstream::main!(jobs::long_words);
