//! A key that is a record with a float.

use dstream::prelude::*;

#[derive(Record)]
struct PageView {
    url: String,
    user: u64,
    seconds: f64,
}

#[dstream::job]
fn job() {
    let views = source::json::<PageView>("file:views");
    let twice = views.key_by(|view| view);
    twice.map_values(|_| 1u64).reduce_by_key(|a, b| a + b).print();
}

dstream::main!(job);
