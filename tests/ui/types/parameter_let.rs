//! A `let` of a parameter that does not exist.

use dstream::prelude::*;

#[dstream::params]
struct Params {
    #[arg(long, default_value = "file:logs")]
    input: String,
    #[arg(long, default_value_t = 3)]
    least: usize,
}

#[dstream::job]
fn job(params: &Params) {
    let lines = source::text("file:logs");
    let most = params.most;
    lines.filter(|line| line.len() > most).print();
}

dstream::main!(job);
