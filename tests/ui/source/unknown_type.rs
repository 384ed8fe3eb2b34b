//! A source of a type that is not in scope.

use dstream::prelude::*;

#[derive(Record)]
struct PageView {
    url: String,
    user: u64,
    seconds: f64,
}

#[dstream::job]
fn job() {
    let views = source::json::<PageVeiw>("file:views");
    views.map(|view| view.url).print();
}

dstream::main!(job);
