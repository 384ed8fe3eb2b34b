//! A parameter that does not exist.

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
    lines.filter(|line| line.len() > params.most).print();
}

dstream::main!(job);
